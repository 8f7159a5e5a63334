import { anyCode, at, hostOf, inside, probed, proofs, row, say, slow, until, vms, web1 } from '../kit.ts';
import { guide } from '../guide.ts';
import { apt, file, follow, hosts, last, vs } from './package-first.ts';

const online = () =>
  until(vms(), 'master', `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ]`, 600_000);
/** The process on its host that is init in web1. */
const initOf = async (): Promise<string> =>
  (await at(await hostOf('web1'), 'lxc-info -P /var/lib/vservers -n web1 -p -H')).stdout.trim();
/** By host, what its agent says of its version. */
async function versionsOf(): Promise<Record<string, string | undefined>> {
  const list = JSON.parse(await vs('host list --json')) as { host: string; version?: string }[];
  return Object.fromEntries(list.map(({ host, version }) => [host, version]));
}

/** What a pool needs on its first day: a backup and its way back, and a mail when something is wrong. */
export function dayRows(): void {
  proofs('a backup, and back from it', async () => {
    const host = await hostOf('web1');
    await inside(host, 'web1', 'sh -c "echo kept > /marked"');
    await row('vs backup run, and a restore as another vserver with the same file', async () => {
      const taken = last(await vs('backup run web1'));
      await vs(`backup restore web1 --as web2 --address 10.60.10.6 --host ${host} --no-start --yes`);
      const { stdout } = await at(host, 'cat /var/lib/vservers/web2/rootfs/marked');
      return { held: stdout.trim() === 'kept', figure: taken.slice(0, 200) };
    });
    await vs('remove web2 --purge --yes');
    await row('vs master backup', async () => {
      const said = await vs('master backup /root');
      return { held: /vs-master-.*tar\.gz: \d+ files/.test(said), figure: said.split('\n')[0] ?? '' };
    });
  });

  proofs('a mail when a host is away, by the MTA that the package recommends', async () => {
    await vms().on(
      'master',
      `id admin >/dev/null 2>&1 || useradd -m admin
grep -q ^MAIL_TO /etc/vs-tools/vs-tools.conf || printf 'MAIL_TO=admin@master.example\\nMAIL_GROUP_SECONDS=5\\nOFFLINE_SECONDS=10\\n' >> /etc/vs-tools/vs-tools.conf
systemctl restart vs-master`,
      slow,
    );
    await until(vms(), 'master', 'vs saga list', 600_000);
    await row('vs alert test', async () => {
      const said = await vs('alert test');
      await until(vms(), 'master', 'grep -q "^Subject: master:test:" /var/mail/admin', 300_000);
      return { held: true, figure: last(said) };
    });
    await row('an agent that stops is a mail, and so is its return', async () => {
      await vms().on('master', ': > /var/mail/admin; systemctl is-active vs-master');
      await vms().on('host1', 'systemctl stop vs-agent', slow);
      await until(vms(), 'master', `grep -q '^BEGINS  host1:host1' /var/mail/admin`, 300_000);
      await vms().on('host1', 'systemctl start vs-agent', slow);
      await until(vms(), 'master', `grep -q '^ENDS  host1:host1' /var/mail/admin`, 600_000);
      const { stdout } = await at('master', "grep '^Subject: ' /var/mail/admin | tail -n 2 | tr '\\n' ' '");
      return { held: true, figure: stdout.trim().slice(0, 200) };
    });
  });

  proofs('what to do on the first day: the guide, word by word', async () => {
    await vms().on('master', 'mkdir -p /mnt/usb');
    await row('a firewall, a backup, the keys of the pool, a mail, a user', async () => {
      const commands = guide()(7).map((line) => line.replace('admin@example.org', 'admin@master.example'));
      const user = 'vs user add anna --role operator'; // it asks for a password, twice
      const shown = await follow('master', commands, { [user]: 'not a secret\\nnot a secret\\n' });
      const { stdout } = await at('master', 'ls /mnt/usb; vs user list');
      return {
        held:
          /web1 is backed up as \S+ in main/.test(shown) &&
          /^vs-master-.*\.tar\.gz$/m.test(stdout) &&
          /^anna +operator/m.test(stdout),
        figure: last(shown),
      };
    });
  });

  proofs('an upgrade from the package before leaves vservers alone', async () => {
    await row(
      'no answer of web1 is missing while the master is upgraded by apt, and the hosts from it',
      async () => {
        const before = await initOf();
        let said = '';
        const { gapMs, answered } = await probed(vms(), web1, async () => {
          await apt('master', `install ${file('now')}`);
          say(`the master is upgraded: ${last((await at('master', 'vs --version')).stdout)}`);
          await online();
          said = last(
            await vs(`master update-hosts --all --yes --package ${file('now')} --package ${file('before')}`),
          );
        });
        const after = await initOf();
        return {
          // an emulated processor that others compute beside stalls for seconds by itself
          held: answered > 0 && gapMs < 15_000 && before !== '' && before === after,
          figure: `${said}; ${answered} answers, the longest time without one ${gapMs} ms; init is ${after} as before`,
        };
      },
    );
    await online();
    await row('all have the new version, and a vserver moves', async () => {
      const versions = [...new Set(Object.values(await versionsOf()))];
      const target = (await hostOf('web1')) === 'host1' ? 'host2' : 'host1';
      const said = last(await vs(`move web1 ${target}`));
      return {
        held: versions.length === 1 && versions[0] !== undefined && !versions[0].includes('before'),
        figure: `${versions.join(', ')}; ${said}`,
      };
    });
  });

  proofs('an update with which a host is not well is taken back, and goes no further', async () => {
    const [before, init] = [await versionsOf(), await initOf()];
    await apt('master', `install ${file('broken')}`);
    await online();
    await row('host1 has the version before again, host2 was not touched, web1 runs on', async () => {
      const { code, stdout, stderr } = await vms().on(
        'master',
        `vs master update-hosts --all --yes --package ${file('broken')}`,
        { ok: anyCode, timeoutMs: 1_800_000 },
      );
      await online();
      const [after, now] = [await versionsOf(), await initOf()];
      const sagas = JSON.parse(await vs('saga list --limit 20 --json')) as {
        kind: string;
        result?: string;
      }[];
      const updates = sagas.filter(({ kind }) => kind === 'update-host').map(({ result }) => result);
      return {
        held:
          code === 1 &&
          hosts.every((host) => before[host] !== undefined && after[host] === before[host]) &&
          updates.join(' ') === 'undone done done' && // the newest first
          init !== '' &&
          init === now,
        figure: `exit ${code}: ${last(stdout + stderr).slice(0, 200)}; ${JSON.stringify(after)}`,
      };
    });
    await apt('master', `--allow-downgrades install ${file('now')}`);
    await online();
  });
}
