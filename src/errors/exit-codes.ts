/** What a launch or a rank leaves with where no message is near; `messages.ts` has the same for its codes. */
export const exitCodes = {
  /** It was started in a wrong way. */
  usage: 64,
  /** It did not come up. */
  notStarted: 69,
  /** A defect of the program itself. */
  defect: 70,
  /** The scheduler, or the leader or the hub on whose word a rank depends, is lost. */
  schedulerLost: 72,
  /** All workers are lost. */
  workersLost: 73,
} as const;
