/**
 * The memory of a host is for its vservers: with these the agent collects garbage earlier, and takes 30 MB less (docs/bench.md).
 * On the command line of Node they also keep its compiled code apart from that of the command line: V8 takes none that was
 * made with other flags, so each would throw away what the other has kept. `vs` and the lab start the agent so.
 */
export const agentFlags = [
  '--semi-space-growth-factor=1',
  '--heap-growing-percent=20',
  '--optimize-for-size',
];
