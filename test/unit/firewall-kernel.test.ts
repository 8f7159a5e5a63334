import { expect, test } from 'vitest';
import { type Try, whatRefuses } from '../../services/firewall/kernel.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';

/** What is told of these lines on a kernel that refuses rules in which this stands. */
async function told(lines: string, lacks: RegExp): Promise<{ faults: string[]; tries: number }> {
  let tries = 0;
  const refusal: Try = async (rules) => {
    tries += 1;
    return lacks.test(rules)
      ? `/dev/stdin:9:1-9: Error: Could not process rule\n   ${lacks.source}`
      : undefined;
  };
  const text = `enable\n${lines}`;
  const firewall = parseFirewall(text, 'f');
  const asked = {
    firewall,
    file: 'f',
    text,
    host: 'host1',
    said: 'said',
    resolved: new Map<string, string[]>(),
  };
  return { faults: (await whatRefuses(asked, refusal)).message.split('\n'), tries };
}

test('each line with an option that the kernel has not, with its column and the module', async () => {
  const { faults } = await told(
    'allow from any tcp/80\n\tallow from any tcp/443 limit 5/second comment "limit"\nallow from any udp/53\nallow from any udp/123 limit 5/second',
    /limit rate/,
  );
  expect(faults).toHaveLength(2);
  expect(faults[0]).toMatch(
    /^f:3:25: found "limit", expected something that the kernel of host1 can do \(nft: .*Could not process rule limit rate\); on host1: modprobe nft_limit/,
  );
  expect(faults[1]).toMatch(/^f:5:24: found "limit"/);
});

test('the global log, a rule with no such word, a firewall at all', async () => {
  expect((await told('allow from any\n log # x', /prefix "vs-deny/)).faults).toEqual([
    expect.stringMatching(/^f:3:2: found "log", .*modprobe nft_log and nf_log_syslog/),
  ]);
  expect((await told('allow from any\ndeny from any 47\nallow to any', /l4proto 47/)).faults).toEqual([
    expect.stringMatching(
      /^f:3:1: found "deny from any 47", expected a rule that the kernel of host1 can do/,
    ),
  ]);
  expect((await told('allow from any', /hook input/)).faults).toEqual([
    expect.stringMatching(/^f:1:1: found a firewall, expected one that .* vs doctor host1/),
  ]);
});

test('one rule among thousands is found in few tries', async () => {
  const lines = Array.from({ length: 5000 }, (_, at) => `allow from any tcp/${at + 1}`).with(
    3210,
    'deny from any esp',
  );
  const { faults, tries } = await told(lines.join('\n'), /l4proto 50/);
  expect(faults).toEqual([expect.stringMatching(/^f:3212:1: /)]);
  expect(tries).toBeLessThan(20);
});
