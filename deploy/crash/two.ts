/** Two copies of a vserver at one instant, seen by one of the two means. */
export interface Two {
  /** Epoch ms. */
  t: number;
  means: 'prober' | 'listing';
  /** The address that two copies answer at, or the name of the vserver that runs twice. */
  what: string;
  detail: string;
}

/**
 * What the prober heard: each boot of a copy tells an id of its own. A copy that answers what was asked after another
 * one had answered, although it was the first of both, ran beside it.
 */
export function bootLog(what: string) {
  const boots = new Map<string, { first: number }>();
  return {
    /** One answer: the id of the boot, when it was asked and when the answer came (epoch ms). */
    heard(id: string, sent: number, got: number): Two | undefined {
      const own = boots.get(id) ?? { first: got };
      own.first = Math.min(own.first, got);
      boots.set(id, own);
      if (boots.size > 50) boots.delete(boots.keys().next().value ?? '');
      for (const [other, { first }] of boots) {
        if (other === id || first < own.first || first >= sent) continue;
        const detail = `boot ${id} was asked at ${sent} and answered, after boot ${other} had answered at ${first}`;
        return { t: got, means: 'prober', what, detail };
      }
      return undefined;
    },
  };
}

/** What the listings of processes showed: on which hosts a vserver runs. Two hosts in two listings in a row ran it at once. */
export function listingLog() {
  let before: Record<string, string[]> = {};
  return {
    seen(now: Record<string, string[]>, t: number): Two[] {
      const found: Two[] = [];
      for (const [what, hosts] of Object.entries(now)) {
        const both = hosts.filter((host) => before[what]?.includes(host));
        if (both.length > 1)
          found.push({ t, means: 'listing', what, detail: `processes on ${both.join(' and ')}` });
      }
      before = now;
      return found;
    },
  };
}
