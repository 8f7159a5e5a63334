import { alike } from './channels/alike.ts';
import { type Channel, viewers } from './channels/channel.ts';
import { ofHosts } from './channels/hosts.ts';
import { ofMaster } from './channels/master.ts';

/** Every topic, by its key: the one table from which all that tells of topics is made. */
export const channels: Record<string, Channel> = {
  ...ofHosts,
  ...ofMaster,
  masterStatus: {
    ...ofHosts.hostStatus,
    topic: 'master/status',
    summary: 'whether the master is on the bus',
    publishers: ['master'],
    readers: viewers,
  },
  ...alike,
};

/** The channel of a topic below the base, and the words in it. */
export function channelOf(
  topic: string,
): { key: string; channel: Channel; words: Record<string, string> } | undefined {
  const have = topic.split('/');
  for (const [key, channel] of Object.entries(channels)) {
    const want = channel.topic.split('/');
    if (want.length !== have.length) continue;
    const words: Record<string, string> = {};
    const fits = want.every((level, index) => {
      const word = /^\{(\w+)\}$/.exec(level)?.[1];
      if (word) words[word] = have[index] ?? '';
      return word ? have[index] !== '' : level === have[index];
    });
    if (fits) return { key, channel, words };
  }
  return undefined;
}
