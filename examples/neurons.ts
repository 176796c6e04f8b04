// Neurons that seek attention, from the command line: `npm run neurons -- COMMAND`.
import { ValueError } from "handgrad";
import { failWith } from "./command.js";
import { accuracy } from "./neurons/accuracy_command.js";
import { forget } from "./neurons/forget_command.js";
import { merge } from "./neurons/merge_command.js";
import { sweep } from "./neurons/sweep_command.js";
import { train } from "./neurons/train_command.js";
import { verify } from "./neurons/verify_command.js";

const HELP = `npm run neurons -- COMMAND [options]

  train    trains networks by rules of your choice and writes train.json: accuracy, cosine to backpropagation a layer,
           distribution of attention, silent neurons and who paid whom, epoch by epoch; and train.html with a picture of it
  verify   checks the theory against float64 and writes verify.json: the equality of first-order attention with
           backpropagation, each of its conditions broken singly, the identities of attention, the control; and
           verify.html with the same as tables
  accuracy every rule beside backpropagation on three data sets and two networks, over seeds, each at a rate chosen on
           validation data; writes accuracy.json and accuracy.html, and goes on after an interrupt

  sweep    learning rates, schedules and ledgers' numbers for streams of tasks, by successive halving on validation images
  forget   what is left of each task at the end of a stream, with what sweeps chose, over seeds, beside backpropagation with
           its best schedule and with Adagrad; writes forgetting.json and forgetting.html
  merge    joins what shards of accuracy, sweep or forget have done

  --help         the options of a command`;

/** Each takes what stands behind its name. */
const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  train,
  verify,
  accuracy,
  sweep,
  forget,
  merge,
};

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "--help") {
    console.log(HELP);
    return;
  }
  if (!Object.hasOwn(COMMANDS, command))
    throw new ValueError(`"${command}" is no command; take ${Object.keys(COMMANDS).join(", ")}`);
  await COMMANDS[command](args);
}

main(process.argv.slice(2)).catch(failWith("npm run neurons -- --help lists the commands"));
