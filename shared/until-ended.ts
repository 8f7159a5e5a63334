/** Resolves with the first SIGTERM or SIGINT from this call on; the next one of the same kind ends the process at once. */
export const untilEnded = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
