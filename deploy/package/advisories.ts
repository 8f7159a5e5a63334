/** Advisories of `npm audit` that do not concern vs-tools, by their address, with the reason. A release with another one ends. */
export const explained: Record<string, string> = {};
