import { ofHost, ofVserver } from './advice-monitor.ts';

/** What a person can do, by check; NAME is the vserver or other subject, HOST its host. docs/alerts.md has the same list. */
export const ofOthers: Record<string, string> = {
  offline:
    'Look whether NAME has power and network, and whether its agent runs ("systemctl status vs-agent" there). Its vservers may run all the same: never start them elsewhere by hand. Is it dead for good: vs recover',
  saga: 'See where it stands, and why: vs saga list, vs saga show; then vs saga resume or vs saga abort',
  journal: 'Make room on the disk of the master, or mend it; the saga goes on by itself',
  removed: 'Make room on the disk of the master, or mend it; it is tried again by itself',
  configuration: 'Mend the named line of vserver.json on HOST, or bring the file back from a copy',
  ownership:
    'Files of NAME lie on HOST, which does not own it: vs scan shows where it lives, vs trash list what may go',
  limits:
    'HOST cannot set a limit that NAME has: vs limit NAME, or move it to a host that can (vs doctor HOST)',
  firewall:
    'Mend the named line: vs fw edit NAME, vs fw check NAME. The rules in force stay as they are until then',
  'firewall-names': 'Mend the names or the DNS of HOST: vs fw edit NAME, vs fw check NAME',
  networks: 'Look at the networks of the host: vs net list, vs net apply, vs doctor HOST',
  certificate:
    'The certificate ends soon and was not renewed: vs host renew HOST, or vs host token HOST and join again',
  socket: 'vs --local does not work on HOST until its directory can be written; then restart the agent',
  update:
    'An update of vs-tools was cut off on HOST: look there at STATE_DIR/update.log, then install a package from PACKAGE_DIR by hand (dpkg --install), and restart vs-agent',
  start: 'Mend what is said there, then restart the services of HOST',
  damaged: 'What was damaged lies aside; remove that file when nobody needs it',
  queue:
    'A client of the bus reads too slowly, or is away: look after it, or give it more room (BROKER_QUEUE_MESSAGES)',
  write: 'Make room on the disk of the master, or mend it',
  mail: 'Look at SMTP_URL and the mail server; what waits is sent by itself. vs alert test tries it',
  refused:
    'Look at the address and at what the server says; what was refused lies in STATE_DIR/alerter/refused, remove it there when it has been read',
  config: 'Mend the named line; until then the lines of before count',
  'backup-failed': 'Mend what is said there, then: vs backup run NAME. It is tried again by itself, too',
  'backup-overdue': 'See why none came: vs backup status NAME, vs saga list; now: vs backup run NAME',
  'backup-test':
    'See what was found: vs backup show NAME; after it is mended: vs backup run NAME, vs backup test NAME',
  'backup-damaged':
    'See which, and what: vs backup list NAME, vs backup show NAME. Look at the disk of the repository, then: vs backup run NAME',
  'master-failed': 'Mend what is said there, then: vs backup run @master. It is tried again by itself, too',
  'master-overdue': 'See why none came: vs backup status; now: vs backup run @master',
  uncovered:
    'Give them a line in backup.conf, such as *:hot:schedule=daily, or VSERVER:none where none is meant: vs backup schedule --check',
  repository: 'Mount its disk, or mend what is said there: vs backup repositories',
  snapshot:
    'Look why none could be made: vs snapshot list NAME, vs doctor HOST; the next is tried by its schedule',
  storage: 'Look at what is said there, on HOST: vs doctor HOST; moves and snapshots may fail until then',
};

const familyOf = (check: string): string =>
  check.replace(/^(queue|daemon|load)-.*/, '$1').replace(/^(disk|disk-growth)-(state|root)$/, '$1');

/** What to do about an alert. */
export function adviceOf(one: { subject: string; host: string; check: string }): string {
  const check = familyOf(one.check);
  const isHost = one.subject === 'host' || one.subject === one.host;
  const table = [isHost ? ofHost : ofVserver, ofOthers].find((some) => Object.hasOwn(some, check));
  const text =
    table?.[check] ??
    (isHost
      ? 'Look at it: vs doctor HOST, vs stats HOST, vs top --host HOST'
      : 'Look at it: vs show NAME, vs stats NAME, vs logs NAME');
  return text.replaceAll('NAME', one.subject).replaceAll('HOST', one.host);
}
