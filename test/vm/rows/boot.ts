import { blue } from '../../../deploy/vmlab/model.ts';
import { asClient, at, hostOf, proofs, row, slow, until, vms, web1 } from '../kit.ts';

/** A host that boots without its master. */
export function bootRows(): void {
  proofs('a host that boots brings its vservers back without the master', async () => {
    const host = await hostOf('web1');
    await vms().on('master', 'systemctl stop vs-master vs-broker', slow);
    const start = Date.now();
    await row(`${host} boots: web1 is back while the master is off, and the pool sees it later`, async () => {
      await vms().reboot(host);
      await until(vms(), 'master', `ip netns exec client nc -z -w 2 ${web1} 80`, 900_000);
      const took = ((Date.now() - start) / 1000).toFixed(0);
      await vms().on('master', 'systemctl start vs-broker vs-master', slow);
      await until(vms(), 'master', '[ -S /run/vs/broker.sock ]', 900_000);
      // what the broker has kept says that it runs as well: its host answers through the master, too
      const sees = `vs show web1 | grep -q '^state *running' && vs scan | grep -q '${host}.*web1.*running'`;
      await until(vms(), 'master', sees, 900_000);
      return { held: true, figure: `${took} s from the reboot to its answer` };
    });
    await row('its trunk was silent but for web1, from the boot on', async () => {
      await asClient(`ping -c 2 -W 5 ${web1}`);
      const frames = await vms().sent(host, start);
      const strange = frames.filter((frame) => frame.vlan !== blue.vlan);
      return {
        held: frames.length > 0 && strange.length === 0,
        figure: `${frames.length} frames, ${strange.length} without tag 10`,
      };
    });
    await row('no vserver but web1 came up there', async () => {
      const { stdout } = await at(host, 'lxc-ls -P /var/lib/vservers --running');
      return { held: stdout.trim() === 'web1', figure: stdout.trim() };
    });
  });
}
