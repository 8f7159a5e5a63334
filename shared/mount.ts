/** What a path lies on. */
export interface Mount {
  place: string;
  type: string;
  source: string;
  /** Those of the file system, not of the single mount. */
  options: string;
}

/** The mount that a path lies on, from the text of /proc/self/mountinfo (proc(5)). */
export function mountOf(mountinfo: string, path: string): Mount {
  let found: Mount = { place: '', type: '', source: '', options: '' };
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const place = (before.split(' ')[4] ?? '').replaceAll('\\040', ' ');
    const [type = '', source = '', options = ''] = after.split(' ');
    const isAbove = place === '/' || path === place || path.startsWith(`${place}/`);
    if (place && isAbove && place.length >= found.place.length) found = { place, type, source, options };
  }
  return found;
}
