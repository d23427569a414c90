/** What a policy can allow on an SSH session (`allow` in the YAML of `apply`). */
export const CAPABILITIES = [
  'shell',
  'exec',
  'sftp',
  'scp',
  'local-forward',
  'remote-forward',
  'agent-forward',
  'x11',
] as const;
export type Capability = (typeof CAPABILITIES)[number];

export const PROTOCOLS = ['ssh', 'rdp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];
