import { existsSync } from 'node:fs';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';

export type Distribution = 'debian' | 'ubuntu';

/** Suites that are built by their name alone; any other one by "vs template build". */
const byDistribution: Record<Distribution, string[]> = {
  debian: ['bullseye', 'bookworm', 'trixie', 'forky', 'sid'],
  ubuntu: ['focal', 'jammy', 'noble', 'plucky', 'questing', 'resolute'],
};
export const suites = [...byDistribution.debian, ...byDistribution.ubuntu];

/** Whose suite that is; one that is not known is taken for Debian's. */
export const distributionOf = (suite: string): Distribution =>
  byDistribution.ubuntu.includes(suite) ? 'ubuntu' : 'debian';

/**
 * What every template has: apt is no part of Ubuntu's minimal set; no ping, whose file capability cannot be executed without
 * net_raw.
 */
export const include = 'apt,systemd-sysv,iproute2,procps';

type Wanted = Pick<
  Settings,
  | 'TEMPLATE_NETNS'
  | 'TEMPLATE_MIRROR'
  | 'TEMPLATE_KEYRING'
  | 'TEMPLATE_UBUNTU_MIRROR'
  | 'TEMPLATE_UBUNTU_KEYRING'
>;

/** The mirrors of a suite as mmdebstrap takes them; none: those that it knows for Debian, with security updates. */
function mirrorsOf(settings: Wanted, suite: string, distribution: Distribution): string[] {
  if (distribution === 'debian') return settings.TEMPLATE_MIRROR ? [settings.TEMPLATE_MIRROR] : [];
  const mirror = settings.TEMPLATE_UBUNTU_MIRROR;
  return ['', '-updates', '-security'].map((pocket) => `deb ${mirror} ${suite}${pocket} main universe`);
}

/** The argument vector of mmdebstrap, in the network namespace that reaches the mirror. */
export function buildCommand(settings: Wanted, suite: string, distribution: Distribution): string[] {
  const space = settings.TEMPLATE_NETNS ? ['nsenter', `--net=${settings.TEMPLATE_NETNS}`, '--'] : [];
  const keyring = distribution === 'ubuntu' ? settings.TEMPLATE_UBUNTU_KEYRING : settings.TEMPLATE_KEYRING;
  return [
    ...space,
    'mmdebstrap',
    '--variant=minbase',
    `--include=${include}`,
    ...(keyring ? [`--keyring=${keyring}`] : []),
    '--format=tar',
    suite,
    '-',
    ...mirrorsOf(settings, suite, distribution),
  ];
}

/** Throws VsError 'failed' when the keys that a suite is signed with are not on this machine. */
export function requireKeyring(settings: Wanted, suite: string, distribution: Distribution): void {
  const [key, file, made] =
    distribution === 'ubuntu'
      ? ['TEMPLATE_UBUNTU_KEYRING', settings.TEMPLATE_UBUNTU_KEYRING, 'ubuntu-keyring']
      : ['TEMPLATE_KEYRING', settings.TEMPLATE_KEYRING, 'debian-archive-keyring'];
  if (!file || existsSync(file)) return;
  throw new VsError(
    'failed',
    `${suite} could not be built: its keys are missing, there is no ${file} (${key}); on the master: apt-get install ${made}${distribution === 'ubuntu' ? ' (Debian 12 has no such package; that of Debian 13 fits)' : ''}`,
  );
}

/** One sentence from what mmdebstrap said. */
export function buildFailure(
  settings: Wanted,
  suite: string,
  distribution: Distribution,
  lines: string[],
): VsError {
  const all = lines.join('\n');
  const ubuntu = distribution === 'ubuntu';
  const mirror = ubuntu ? settings.TEMPLATE_UBUNTU_MIRROR : settings.TEMPLATE_MIRROR;
  const where = mirror ? `the mirror ${mirror}` : 'the default mirror';
  const key = ubuntu ? 'TEMPLATE_UBUNTU_MIRROR' : 'TEMPLATE_MIRROR';
  if (
    /Could not (resolve|connect)|Temporary failure|Connection (refused|timed out|failed)|Unable to connect|Network is unreachable/i.test(
      all,
    )
  )
    return new VsError(
      'failed',
      `${suite} could not be built: ${where} does not answer; set ${key} to one that does, or import a tarball (vs template import)`,
      { retryable: true },
    );
  if (/NO_PUBKEY|public key is not available|is not signed|GPG error/i.test(all))
    return new VsError(
      'failed',
      `${suite} could not be built: its signature cannot be checked with the keys of this machine; install ${ubuntu ? 'ubuntu-keyring' : 'debian-archive-keyring'}, or name the right file (${ubuntu ? 'TEMPLATE_UBUNTU_KEYRING' : 'TEMPLATE_KEYRING'})`,
    );
  if (/404|does not have a Release file|unknown suite/i.test(all))
    return new VsError(
      'failed',
      `${suite} could not be built: ${where} has no suite ${suite}${ubuntu ? '' : '; a suite of Ubuntu that is not known here needs --ubuntu'}`,
    );
  const last = lines.filter((line) => /^[EW]:/.test(line)).slice(0, 2);
  return new VsError(
    'failed',
    `${suite} could not be built: ${(last.length > 0 ? last : lines.slice(-2)).join('; ') || 'mmdebstrap failed without a word'}`,
  );
}
