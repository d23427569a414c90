/** What a policy can allow (`allow` in the YAML of `apply`) on an SSH session. */
export const SSH_CAPABILITIES = [
  'shell',
  'exec',
  'sftp',
  'scp',
  'local-forward',
  'remote-forward',
  'agent-forward',
  'x11',
] as const;
/** And on an RDP session: the desktop itself, then what travels beside its picture. */
export const RDP_CAPABILITIES = [
  'desktop',
  'clipboard-to-target',
  'clipboard-from-target',
  'clipboard-files',
  'drives',
  'printers',
  'smart-cards',
  'ports',
  'audio',
  'microphone',
] as const;
export const CAPABILITIES = [...SSH_CAPABILITIES, ...RDP_CAPABILITIES] as const;
export type Capability = (typeof CAPABILITIES)[number];

export const PROTOCOLS = ['ssh', 'rdp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];
