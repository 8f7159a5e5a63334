/** Whom it is about, from where, and why. */
export interface About {
  user?: string | undefined;
  client?: string | undefined;
  /** Its address. */
  address?: string | undefined;
  topic?: string | undefined;
  reason: string;
}
const sentences = {
  'publish-refused': 'was not let publish',
  'will-refused': 'was not let leave a last will',
  'subscribe-refused': 'was not let subscribe',
  'login-refused': 'was not let in',
  'message-dropped': 'did not get a message of QoS 1',
  'connection-ended': 'lost its connection',
  'users-file': 'the users file',
  'audit-file': 'the audit file',
} as const;
export type Told = keyof typeof sentences;
/** Says what the broker did, as an event on the bus. */
export type Tell = (what: Told, about: About) => void;

/** Why somebody may not do what it asked for. */
export const reasonFor = (who: { role: string } | null | undefined): string =>
  `not allowed for role ${who?.role ?? 'none'}`;

const MINUTE = 60_000;
/** So many different ones of one user (or, before it is let in, of one address) in a minute; the others count together. */
const EACH = 20;
const ALL = 1000;

const short = (text: string | undefined, length: number) =>
  text !== undefined && text.length > length ? `${text.slice(0, length)}...` : text;
/** What strangers choose, so that it cannot play with a terminal. */
const word = (text: string) => (/^[\w./+#$-]+$/.test(text) ? text : JSON.stringify(text));

/** A sentence for people. */
function sentenceOf(what: Told, { user, client, address, topic, reason }: About, more: number): string {
  const tail = more > 0 ? `, and ${more} more like it` : '';
  if (what === 'users-file' || what === 'audit-file') return `${reason}${tail}`;
  const who = word(user || 'somebody');
  const where = [
    client && client !== user ? `as ${word(client)}` : '',
    address ? `from ${word(address)}` : '',
  ];
  const on = topic ? ` ${what === 'message-dropped' ? 'on' : 'to'} ${word(topic)}` : '';
  return `${[who, ...where].filter(Boolean).join(' ')} ${sentences[what]}${on}: ${reason}${tail}`;
}

/** Publishes events, of the same about the same user and topic at most one a minute, with a count of those between. */
export function openTeller(publish: (event: object) => void, minute = MINUTE) {
  const said = new Map<string, { at: number; what: Told; about: About; more: number }>();
  const each = new Map<string, number>();

  function say(what: Told, about: About, more: number): void {
    const event = { ts: Date.now(), event: what, message: sentenceOf(what, about, more), ...about };
    setImmediate(publish, more > 0 ? { ...event, more } : event); // never inside what it tells of
  }
  const tell: Tell = (what, given) => {
    const about = {
      ...given,
      user: short(given.user, 64),
      client: short(given.client, 100),
      topic: short(given.topic, 200),
    };
    const who = `${what} ${what === 'login-refused' ? about.address : about.user}`;
    const more: Partial<Record<Told, string | undefined>> = {
      'login-refused': about.user,
      'message-dropped': about.client,
      'users-file': about.reason,
      'audit-file': about.reason,
    };
    let key = `${who} ${about.topic ?? ''} ${more[what] ?? ''}`;
    if (!said.has(key) && (each.get(who) ?? 0) >= EACH) key = `${who} others`;
    if (!said.has(key) && said.size >= ALL) key = `${what} others`;
    const before = said.get(key);
    if (before) {
      before.more++;
      before.about = about;
      return;
    }
    each.set(who, (each.get(who) ?? 0) + 1);
    said.set(key, { at: Date.now(), what, about, more: 0 });
    say(what, about, 0);
  };
  const timer = setInterval(
    () => {
      const now = Date.now();
      for (const [key, one] of said) {
        if (now - one.at < minute) continue;
        if (one.more > 0) {
          say(one.what, one.about, one.more);
          Object.assign(one, { at: now, more: 0 });
          continue;
        }
        said.delete(key);
      }
      if (said.size === 0) each.clear();
      else
        for (const who of each.keys()) if (!said.keys().some((key) => key.startsWith(who))) each.delete(who);
    },
    Math.min(minute, 5000),
  ).unref();
  return { tell, stop: () => clearInterval(timer) };
}
