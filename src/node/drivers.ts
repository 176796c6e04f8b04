import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where Chromium keeps the driver file of its own SwiftShader; the Vulkan loader does not look there. */
const chromiumDrivers = [
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/usr/lib64/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
];

/** The variables that name the Vulkan drivers to load; the second is the older name of the first. */
export const driverVariables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;

/** Whether the user has said which Vulkan drivers to load. */
export function userChoseDrivers(): boolean {
  return driverVariables.some((name) => process.env[name]);
}

/**
 * The driver files (`*.json`) in the folders in which the Vulkan loader looks on Linux: those of hardware
 * first, then lavapipe, then SwiftShader.
 */
export function installedDrivers(): string[] {
  const files = driverFolders().flatMap(jsonFiles);
  return [...new Set(files)].sort((a, b) => slowness(a) - slowness(b));
}

/** SwiftShader drivers that come with an installed Chromium. */
export function installedChromiumDrivers(): string[] {
  return chromiumDrivers.filter((file) => existsSync(file));
}

/** Folders of the Vulkan loader, by the XDG rules; the last is where NixOS keeps its drivers. */
export function driverFolders(): string[] {
  const { env } = process;
  const bases = [
    env.XDG_CONFIG_HOME || join(homedir(), ".config"),
    ...(env.XDG_CONFIG_DIRS || "/etc/xdg").split(":"),
    "/etc",
    env.XDG_DATA_HOME || join(homedir(), ".local", "share"),
    ...(env.XDG_DATA_DIRS || "/usr/local/share:/usr/share").split(":"),
    "/usr/local/share",
    "/usr/share",
    "/run/opengl-driver/share",
  ];
  return [...new Set(bases.filter(Boolean))].map((base) => join(base, "vulkan", "icd.d"));
}

function jsonFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .sort()
      .map((name) => join(folder, name));
  } catch {
    return []; // a folder that is not there, or not ours to read, holds no driver
  }
}

function slowness(file: string): number {
  return /swiftshader/i.test(file) ? 2 : /lvp|lavapipe|llvmpipe/i.test(file) ? 1 : 0;
}
