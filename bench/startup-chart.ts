export function drawStartup(path: string): string {
  return path;
}
