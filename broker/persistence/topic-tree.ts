interface Node<T> {
  children: Map<string, Node<T>>;
  value: T | undefined;
}

const fresh = <T>(): Node<T> => ({ children: new Map(), value: undefined });

/** Values below the levels of a filter; wildcards at the first level pass over topics that begin with $ (MQTT 4.7.2). */
function* below<T>(node: Node<T>, levels: string[], at: number): Generator<T> {
  const level = levels[at];
  if (level === undefined || level === '#') {
    if (node.value !== undefined) yield node.value;
    if (level === undefined) return;
  }
  if (level !== '+' && level !== '#') {
    const child = node.children.get(level ?? '');
    if (child) yield* below(child, levels, at + 1);
    return;
  }
  for (const [name, child] of node.children) {
    if (at === 0 && name.startsWith('$')) continue;
    yield* below(child, levels, level === '#' ? at : at + 1);
  }
}

function above<T>(node: Node<T>, levels: string[], at: number, found: T[]): T[] {
  const wild = at > 0 || !levels[0]?.startsWith('$');
  const rest = wild ? node.children.get('#')?.value : undefined;
  if (rest !== undefined) found.push(rest);
  const level = levels[at];
  if (level === undefined) {
    if (node.value !== undefined) found.push(node.value);
    return found;
  }
  const exact = node.children.get(level);
  if (exact) above(exact, levels, at + 1, found);
  const any = wild ? node.children.get('+') : undefined;
  if (any) above(any, levels, at + 1, found);
  return found;
}

/**
 * Values by topic or by filter, one node a level, so that a look-up costs what it finds and not what there is
 * (measured.md, G3). A tree holds either topics (asked with `under`) or filters (asked with `over`).
 */
export function createTopicTree<T>() {
  const root = fresh<T>();
  let size = 0;

  return {
    get size() {
      return size;
    },
    get(topic: string): T | undefined {
      let node: Node<T> | undefined = root;
      for (const level of topic.split('/')) node = node?.children.get(level);
      return node?.value;
    },
    set(topic: string, value: T): void {
      let node = root;
      for (const level of topic.split('/')) {
        let child = node.children.get(level);
        if (!child) node.children.set(level, (child = fresh()));
        node = child;
      }
      if (node.value === undefined) size++;
      node.value = value;
    },
    /** Removes a value, and the levels that hold nothing any more. */
    delete(topic: string): void {
      const path: [Node<T>, string][] = [];
      let node = root;
      for (const level of topic.split('/')) {
        const child = node.children.get(level);
        if (!child) return;
        path.push([node, level]);
        node = child;
      }
      if (node.value === undefined) return;
      node.value = undefined;
      size--;
      for (const [parent, level] of path.reverse()) {
        const child = parent.children.get(level);
        if (!child || child.value !== undefined || child.children.size > 0) return;
        parent.children.delete(level);
      }
    },
    /** The values of all topics that a filter matches; walks on as it is read, so that a long answer blocks nobody. */
    under: (filter: string): Generator<T> => below(root, filter.split('/'), 0),
    /** The values of all filters that match a topic. */
    over: (topic: string): T[] => above(root, topic.split('/'), 0, []),
  };
}
export type TopicTree<T> = ReturnType<typeof createTopicTree<T>>;
