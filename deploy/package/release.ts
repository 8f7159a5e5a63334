import { lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../shared/run.ts';
import { writeFileDurable } from '../../shared/store.ts';
import { explained } from './advisories.ts';
import { buildPackages, epochOf, hashOf } from './build.ts';
import { licenceList, licencesOf } from './licences.ts';
import { evenSbom, isVersion, releaseChangelog, sectionOf, unexplained } from './notes.ts';
import { productionPaths, root } from './stage.ts';

const say = (text: string): void => console.log(`release: ${text}`);
const npm = (args: string[], okCodes = [0]) =>
  run(['npm', ...args], { cwd: root, timeoutMs: 300_000, okCodes });
const inRoot = (file: string) => readFile(join(root, file), 'utf8');

/** Writes a version into package.json, package-lock.json and CHANGELOG.md. */
async function prepare(version: string): Promise<void> {
  if (!isVersion(version))
    throw new Error(`"${version}" is no version; expected one such as 1.2.0 or 1.2.0-rc.1`);
  const day = new Date().toISOString().slice(0, 10);
  const changelog = releaseChangelog(await inRoot('CHANGELOG.md'), version, day);
  await npm(['version', version, '--no-git-tag-version', '--allow-same-version', '--ignore-scripts']);
  await writeFileDurable(join(root, 'CHANGELOG.md'), changelog, 0o644);
  say(`package.json, package-lock.json and CHANGELOG.md are those of ${version}. Look at them, then:
  git commit -a -m "release: ${version}" && git tag -a v${version} -m ${version}
  npm run release`);
}

/** Nothing of the commit differs from what lies here; else the packages would not be those of the commit. */
async function requireClean(): Promise<void> {
  const { stdout } = await run(['git', '-C', root, 'status', '--porcelain', '--untracked-files=no']);
  if (stdout.trim())
    throw new Error(`these differ from the commit; commit them or take them back:\n${stdout.trimEnd()}`);
}

async function audit(): Promise<string> {
  const { stdout } = await npm(['audit', '--omit=dev', '--json'], [0, 1]);
  const faults = unexplained(stdout, explained);
  if (faults.length > 0)
    throw new Error(
      `npm audit knows faults; update the packages, or say in deploy/package/advisories.ts why they do not matter:\n${faults.join('\n')}`,
    );
  return stdout;
}

async function lint(deb: string): Promise<void> {
  const argv = ['lintian', '--fail-on', 'error', '--allow-root', deb];
  await run(argv, { timeoutMs: 900_000 }).catch((error: unknown) => {
    throw new Error(`lintian found errors in ${deb} (or is not installed): ${(error as Error).message}`, {
      cause: error,
    });
  });
}

/** All files of a release, in dist/VERSION. `audited`: npm audit is asked; some mirrors of npm do not answer it. */
async function release(audited: boolean): Promise<void> {
  await requireClean();
  const { version } = JSON.parse(await inRoot('package.json')) as { version: string };
  const changes = sectionOf(await inRoot('CHANGELOG.md'), version);
  if (changes === undefined)
    throw new Error(`CHANGELOG.md has no section ${version}: npm run release -- ${version} makes it`);
  const out = join(root, 'dist', version);
  await mkdir(out, { recursive: true });
  const name = `vs-tools-${version}`;
  say(audited ? 'npm audit' : 'npm audit is left out, as --no-audit wants it');
  const audits = `${name}-audit.json`;
  await rm(join(out, audits), { force: true });
  if (audited) await writeFile(join(out, audits), await audit());
  say('software bill of materials, licences');
  const { stdout } = await npm(['sbom', '--omit=dev', '--sbom-format=cyclonedx', '--package-lock-only']);
  await writeFile(join(out, `${name}-sbom.cdx.json`), evenSbom(stdout, await epochOf()));
  const licences = await licencesOf(root, await productionPaths());
  await writeFile(join(out, `${name}-licences.txt`), licenceList(licences));
  await writeFile(join(out, `${name}-changes.md`), `${changes}\n`);
  say('packages');
  const built = await buildPackages(out);
  say('lintian');
  await lint(built.deb);
  const files = [
    ...Object.values(built),
    ...[...(audited ? ['audit.json'] : []), 'sbom.cdx.json', 'licences.txt', 'changes.md'].map((end) =>
      join(out, `${name}-${end}`),
    ),
  ];
  const sums = await Promise.all(files.map(async (file) => `${await hashOf(file)}  ${basename(file)}\n`));
  await writeFile(join(out, 'SHA256SUMS'), sums.join(''));
  for (const file of files) say(`${file}: ${(await lstat(file)).size} bytes`);
  say(`dist/${version}/SHA256SUMS has their checksums`);
}

if (import.meta.main) {
  try {
    const options = { 'no-audit': { type: 'boolean' } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [version] = positionals;
    await (version === undefined ? release(!values['no-audit']) : prepare(version));
  } catch (error) {
    process.stderr.write(`release: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
