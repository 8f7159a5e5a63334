// The history of events, the audit of the orchestrator and sessions in vservers: nothing of them is simulated
export const openHistory = () => ({
  start: async () => undefined,
  stop: async () => undefined,
  list: () => [],
});
export const openHeardAudit = (): undefined => undefined;
export const readAudit = async () => [];
export const openSessions = () => ({ open: async () => ({}), endAll: () => undefined });
