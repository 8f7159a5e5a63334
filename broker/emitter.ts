import { createTopicTree } from './persistence/topic-tree.ts';

interface Packet {
  topic: string;
}
export type Listener = (packet: Packet, done: () => void) => void;

/**
 * Who hears what, as aedes asks for it (mqemitter's interface). mqemitter itself takes 200 messages at a time and calls
 * itself for each of those that wait and that nobody hears: under load that ends the broker by a stack overflow. This one
 * makes no message wait for another; who publishes waits for those that hear it, so a slow one slows only its own sources.
 */
export function openEmitter() {
  const tree = createTopicTree<Set<Listener>>();
  let closed = false;
  const emitter = {
    concurrency: 0,
    /** Who hears a topic, by the filters that cover it. */
    hearers: (topic: string) => tree.over(topic),
    on(filter: string, listener: Listener, done?: () => void) {
      const listeners = tree.get(filter);
      if (listeners) listeners.add(listener);
      else tree.set(filter, new Set([listener]));
      if (done) setImmediate(done);
      return emitter;
    },
    removeListener(filter: string, listener: Listener, done?: () => void) {
      const listeners = tree.get(filter);
      listeners?.delete(listener);
      if (listeners?.size === 0) tree.delete(filter);
      if (done) setImmediate(done);
      return emitter;
    },
    emit(packet: Packet, done: (error?: Error) => void = () => undefined) {
      if (closed) {
        done(new Error('the broker ends'));
        return emitter;
      }
      const all = tree.over(packet.topic);
      let left = 1;
      const one = () => {
        if (--left === 0) done();
      };
      for (const listeners of all) {
        for (const listener of listeners) {
          left++;
          listener(packet, one);
        }
      }
      // Never within emit itself, or many messages would pile up on the stack; nor in a microtask, where it would overtake
      // a message of QoS 1 on its way through the store, which aedes then takes for a duplicate.
      setImmediate(one);
      return emitter;
    },
    close(done: () => void) {
      closed = true;
      setImmediate(done);
      return emitter;
    },
  };
  return emitter;
}
export type Emitter = ReturnType<typeof openEmitter>;
