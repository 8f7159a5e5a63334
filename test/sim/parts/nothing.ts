// The history of events and the audit of the orchestrator: nothing of them is simulated
export const openHistory = () => ({
  start: async () => undefined,
  stop: async () => undefined,
  list: () => [],
});
export const openHeardAudit = (): undefined => undefined;
export const readAudit = async () => [];
