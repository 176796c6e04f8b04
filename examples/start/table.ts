// Tables on the terminal.

/** Prints a head and rows in columns: the first to the left, the others to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join("   ");
  console.log(line(head));
  console.log(widths.map((width) => "─".repeat(width)).join("   "));
  for (const row of rows) console.log(line(row));
}
