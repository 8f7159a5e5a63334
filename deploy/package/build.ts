import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  utimes,
  lutimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { run } from '../../shared/run.ts';
import { debianVersion, packageName } from '../../shared/versions.ts';
import { controlFile, debianArchitecture } from './control.ts';
import { placed } from './files.ts';
import { root, stage } from './stage.ts';

const scripts = ['preinst', 'postinst', 'prerm', 'postrm'];

/** The moment (s) that all files of the packages have: SOURCE_DATE_EPOCH, else that of the commit. */
export async function epochOf(): Promise<number> {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined && /^\d{1,12}$/.test(given)) return Number(given);
  const git = ['git', '-c', 'safe.directory=*', '-C', root, 'log', '-1', '--format=%ct'];
  const { stdout } = await run(git).catch(() => ({ stdout: '' }));
  return Number(stdout.trim()) || Math.floor((await lstat(join(root, 'package.json'))).mtimeMs / 1000);
}

export async function hashOf(file: string, algorithm = 'sha256'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** All files below, by path, in an order that no locale changes. */
async function filesBelow(directory: string): Promise<string[]> {
  const all = await readdir(directory, { recursive: true, withFileTypes: true });
  return all
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(directory.length + 1))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

async function sameTimes(directory: string, epoch: number): Promise<void> {
  for (const one of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(one.parentPath, one.name);
    await (one.isSymbolicLink() ? lutimes(path, epoch, epoch) : utimes(path, epoch, epoch));
  }
  await utimes(directory, epoch, epoch);
}

/** Adds what dpkg wants to know of the tree. */
async function addControl(tree: string, version: string, architecture: string): Promise<void> {
  const files = await filesBelow(tree);
  let bytes = 0;
  const sums: string[] = [];
  for (const file of files) {
    bytes += Math.ceil((await lstat(join(tree, file))).size / 1024) * 1024;
    if (!file.startsWith('etc/')) sums.push(`${await hashOf(join(tree, file), 'md5')}  ${file}\n`);
  }
  const debian = join(tree, 'DEBIAN');
  await mkdir(debian, { mode: 0o755 });
  const control = controlFile({
    version: debianVersion(version),
    architecture,
    installedKb: Math.ceil(bytes / 1024),
  });
  await writeFile(join(debian, 'control'), control, { mode: 0o644 });
  const conffiles = Object.keys(placed).filter((path) => path.startsWith('etc/'));
  await writeFile(join(debian, 'conffiles'), conffiles.map((path) => `/${path}\n`).join(''), { mode: 0o644 });
  await writeFile(join(debian, 'md5sums'), sums.join(''), { mode: 0o644 });
  for (const script of scripts)
    await cp(join(root, 'deploy/package/files/debian', script), join(debian, script));
  // whatever umask the one who builds has
  await chmod(debian, 0o755);
  for (const file of await readdir(debian))
    await chmod(join(debian, file), scripts.includes(file) ? 0o755 : 0o644);
}

export interface Built {
  deb: string;
  tarball: string;
}

/**
 * Builds the Debian package and the tarball with install.sh into `out`. Two builds of one commit are equal, byte for byte.
 * `fast`: hardly compressed, for tests.
 */
export async function buildPackages(out: string, { fast = false } = {}): Promise<Built> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const architecture = debianArchitecture(process.arch);
  const epoch = await epochOf();
  await mkdir(out, { recursive: true });
  const scratch = await mkdtemp(join(tmpdir(), 'vs-package-'));
  try {
    const name = `vs-tools-${version}`;
    const tree = join(scratch, name);
    await mkdir(tree);
    await stage(tree, version, epoch);
    const built: Built = {
      deb: join(out, packageName(version, architecture)),
      tarball: join(out, `${name}-${architecture}.tar.gz`),
    };
    await makeTarball(scratch, name, { file: built.tarball, epoch, level: fast ? '-1' : '-6' });
    await addControl(tree, version, architecture);
    await sameTimes(tree, epoch);
    // more threads than one make other bytes, so it is always as many
    const packing = fast ? ['-Znone'] : ['-Zxz', '-z1', '--threads-max=2'];
    await run(['dpkg-deb', '--root-owner-group', ...packing, '--build', tree, built.deb], {
      timeoutMs: 600_000,
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    });
    return built;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** The classic way: the same tree with install.sh beside it. */
async function makeTarball(
  scratch: string,
  name: string,
  { file, epoch, level }: { file: string; epoch: number; level: string },
): Promise<void> {
  const script = join(scratch, name, 'install.sh');
  await cp(join(root, 'deploy/package/files/install.sh'), script);
  const plain = join(scratch, 'plain.tar');
  const same = [
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=gnu',
  ];
  await run(['tar', '-C', scratch, ...same, '-cf', plain, name], { timeoutMs: 300_000 });
  await run(['gzip', '-n', level, plain], { timeoutMs: 300_000 });
  await cp(`${plain}.gz`, file);
  await rm(`${plain}.gz`);
  await rm(script);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: { fast: { type: 'boolean' } },
    allowPositionals: true,
  });
  const built = await buildPackages(resolve(positionals[0] ?? join(root, 'dist')), values);
  for (const file of Object.values(built)) console.log(`${file}: ${(await lstat(file)).size} bytes`);
}
