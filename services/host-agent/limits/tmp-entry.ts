/** The line of a runtime's configuration that mounts /tmp as a tmpfs of this size (lxc.container.conf(5), tmpfs(5)). */
export const tmpEntry = (bytes: number): string =>
  `lxc.mount.entry = tmpfs tmp tmpfs rw,nosuid,nodev,mode=1777,size=${bytes},create=dir 0 0`;
