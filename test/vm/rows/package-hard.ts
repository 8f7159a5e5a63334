import { at, hostOf, proofs, row, say, slow, until, vms, web1 } from '../kit.ts';
import { hosts, last, vs } from './package-first.ts';

const runsOn = async (host: string): Promise<boolean> =>
  (await at(host, 'test "$(lxc-info -P /var/lib/vservers -n web1 -s -H)" = RUNNING')).code === 0;

/** Boots, power cuts, and the end. */
export function hardRows(): void {
  proofs('each machine boots: what is enabled is back without the master', async () => {
    const host = await hostOf('web1');
    const other = host === 'host1' ? 'host2' : 'host1';
    if (!(await vs('scan')).includes('web3'))
      await vs(`create web3 10.60.10.7 busybox --host ${other} --enable --start --yes`);
    await vms().on('master', 'systemctl stop vs-master vs-broker', slow);
    for (const [machine, address] of [
      [host, web1],
      [other, '10.60.10.7'],
    ] as const)
      await row(`${machine} boots while the master is off`, async () => {
        const start = Date.now();
        await vms().reboot(machine);
        await until(vms(), 'master', `ping -c 1 -W 2 ${address}`, 1_800_000);
        const { stdout } = await at(
          machine,
          'journalctl -b -1 -o cat -u vs-vservers | tail -n 1; systemctl is-system-running',
        );
        return {
          held: true,
          figure: `${((Date.now() - start) / 1000).toFixed(0)} s to its answer; ${stdout.trim().split('\n').join('; ').slice(0, 160)}`,
        };
      });
    await row('the master boots, and the pool is whole', async () => {
      await vms().reboot('master');
      await until(
        vms(),
        'master',
        `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ] && [ "$(vs scan | grep -c running)" = 2 ]`,
        1_200_000,
      );
      return { held: true, figure: last(await vs('scan')) };
    });
  });

  proofs('a power cut in a move ends well', async () => {
    for (const [victim, step] of [
      ['target', 'seed'],
      ['source', 'final'],
      ['master', 'seed'],
    ] as const)
      await row(`the ${victim} loses its power about ${step}`, async () => {
        const source = await hostOf('web1');
        const target = source === 'host1' ? 'host2' : 'host1';
        await vms().on('master', 'touch /run/vmlab-move');
        const move = at('master', `vs move web1 ${target}`).catch((error: unknown) => ({
          code: 255,
          stdout: '',
          stderr: String(error),
        }));
        const journal = 'find /var/lib/vs-tools/sagas -name "*.jsonl" -newer /run/vmlab-move';
        await until(
          vms(),
          'master',
          `${journal} -exec grep -q '"kind":"started","step":"${step}"' {} \\; -print | grep -q .`,
          300_000,
        );
        const machine = { target, source, master: 'master' }[victim];
        await vms().cut(machine);
        say(`${machine} is back`);
        const { code, stdout, stderr } = await move;
        await until(
          vms(),
          'master',
          `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ] && ! vs saga list --running | grep -q web1`,
          1_200_000,
        );
        await until(vms(), 'master', `ping -c 1 -W 2 ${web1}`, 1_200_000);
        const running = [];
        for (const host of hosts) if (await runsOn(host)) running.push(host);
        const saga = last(await vs('saga list --vserver web1 --limit 1'));
        return {
          held: running.length === 1 && /\b(done|undone)\b/.test(saga),
          figure: `${code}: ${last(stdout + stderr).slice(0, 120)}; ${saga}; runs on ${running.join(', ')}`,
        };
      });
  });

  proofs('purge leaves the data of vservers, and says so', async () => {
    const host = await hostOf('web1');
    const remove =
      'DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 purge vs-tools </dev/null';
    await row('vservers run on, their data stays, the units are gone', async () => {
      const { code, stdout, stderr } = await at(host, remove);
      const answers = await at('master', `ping -c 2 -W 5 ${web1}`);
      const left = await at(
        host,
        'test -e /var/lib/vservers/web1/vserver.json && test ! -e /usr/lib/vs-tools && ! systemctl cat vs-agent 2>/dev/null',
      );
      return {
        held:
          code === 0 &&
          answers.code === 0 &&
          left.code === 0 &&
          /\/var\/lib\/vservers stays \(the vservers\)/.test(stdout),
        figure: last(stdout + stderr).slice(0, 200),
      };
    });
  });
}
