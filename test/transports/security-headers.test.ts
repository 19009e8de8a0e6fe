import { describe, expect, it } from 'vitest';
import { securityHeaders } from '../../src/transports/http/security-headers.ts';

describe('the security headers', () => {
  it('keep browsers from guessing types, framing answers and naming the page they come from', () => {
    expect(securityHeaders({ shared: false })).toEqual({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'origin-agent-cluster': '?1',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-dns-prefetch-control': 'off',
      'x-download-options': 'noopen',
      'x-frame-options': 'SAMEORIGIN',
      'x-permitted-cross-domain-policies': 'none',
      'x-xss-protection': '0',
    });
  });

  it('let pages of other origins show images only where some are allowed', () => {
    expect(securityHeaders({ shared: true })['cross-origin-resource-policy']).toBe('cross-origin');
  });
});
