/** The longest delay (ms) that a timer of Node takes, 2^31 - 1: about 24.8 days. It fires at once for a longer one. */
export const longestTimer = 2_147_483_647;

/**
 * Calls `act` once after so many milliseconds, however many they are; returns what keeps it from that. Without `ref`
 * the process does not stay for it.
 */
export function callAfter(ms: number, act: () => void, { ref = true }: { readonly ref?: boolean } = {}): () => void {
  let timer: NodeJS.Timeout;
  const arm = (left: number): void => {
    timer = left > longestTimer ? setTimeout(() => arm(left - longestTimer), longestTimer) : setTimeout(act, left);
    if (!ref) timer.unref();
  };
  arm(ms);
  return () => clearTimeout(timer);
}

/** Resolves after so many milliseconds, however many they are, or when `ended` fires before. */
export function pauseFor(ms: number, ended?: AbortSignal): Promise<void> {
  if (ended?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const over = (): void => {
      cancel();
      ended?.removeEventListener("abort", over);
      resolve();
    };
    const cancel = callAfter(ms, over);
    ended?.addEventListener("abort", over);
  });
}
