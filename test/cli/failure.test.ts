import { describe, expect, it } from 'vitest';
import { exitCodeOf, failureOfApp, failureOfClient } from '../../src/cli/failure.ts';
import { ClientError } from '../../src/client/client-error.ts';
import { AppError } from '../../src/errors.ts';

describe('how a command fails', () => {
  it.each([
    ['unreachable', undefined, true, 69],
    ['disconnected', undefined, true, 69],
    ['unexpected_answer', 200, false, 1],
    ['unexpected_answer', 502, true, 75],
    ['invalid_request', 422, false, 2],
    ['unknown_generator', 422, false, 2],
    ['unsupported_field', 422, false, 2],
    ['invalid_image', 422, false, 2],
    ['body_too_large', 413, false, 2],
    ['request_id_conflict', 409, false, 1],
    ['forbidden_origin', 403, false, 1],
    ['queue_full', 429, true, 75],
    ['draining', 503, true, 75],
    ['storage_full', 507, true, 75],
    ['generator_unavailable', 503, true, 75],
    ['internal', 500, true, 75],
    ['internal', 500, false, 1],
    ['a_code_of_tomorrow', 429, true, 75],
    ['constructor', 400, false, 1],
  ])('ends with the exit code of %s (status %s, retryable %s)', (code, status, retryable, exitCode) => {
    expect(failureOfClient(new ClientError(code, 'It is so.', { status, retryable })).exitCode).toBe(exitCode);
  });

  it('names fields as flags in the message, and as fields in the JSON', () => {
    const issues = [
      { path: 'prompt', message: 'must not be blank' },
      { path: 'timeout_s', message: 'must be above 0' },
      { path: 'loras.0.scale', message: 'must be a number' },
      { path: 'depth_map.image_data', message: 'The image is damaged.' },
      { path: '', message: 'is not an object' },
    ];
    const error = new ClientError('invalid_request', 'prompt: …', { status: 422, retryable: false, issues });
    expect(failureOfClient(error)).toEqual({
      exitCode: 2,
      message:
        'PROMPT must not be blank; --timeout must be above 0; --lora must be a number; ' +
        '--depth-map: The image is damaged; is not an object.',
      problem: { code: 'invalid_request', message: 'prompt: …', retryable: false, status: 422, errors: issues },
    });
  });

  it('says when to try again', () => {
    const error = new ClientError('queue_full', 'The queue is full.', {
      retryable: true,
      status: 429,
      retryAfterMs: 1500,
    });
    expect(failureOfClient(error)).toMatchObject({
      message: 'The queue is full; try again in 2 s.',
      problem: { retry_after_ms: 1500 },
    });
  });

  it('does not let a server’s message move the cursor', () => {
    const error = new ClientError('internal', 'red\u001b[31m\nline', { retryable: false });
    expect(failureOfClient(error).message).toBe('red\u{FFFD}[31m line.');
  });

  it('keeps the codes of the server’s own errors, and shows where an unexpected one came from', () => {
    const codes = [
      'port_in_use',
      'data_dir_in_use',
      'storage_full',
      'config_invalid',
      'journal_unreadable',
      'internal',
    ] as const;
    expect(codes.map((code) => exitCodeOf(new AppError(code, 'x')))).toEqual([69, 75, 75, 78, 78, 1]);
    const cause = new Error('what happened');
    expect(failureOfApp(new AppError('internal', 'x', { cause })).message).toContain('what happened');
  });
});
