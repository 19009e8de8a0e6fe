/** One server-sent event. */
export interface ServerSentEvent {
  /** Its `event` field; `message` without one. */
  readonly event: string;
  readonly data: string;
}

/**
 * Reads server-sent events, by the rules of the HTML standard. An event that the end of the stream cuts off is dropped.
 */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent, void, undefined> {
  let event = '';
  let data: string[] = [];
  for await (const line of readLines(body)) {
    if (line === '') {
      if (data.length > 0) yield { event: event === '' ? 'message' : event, data: data.join('\n') };
      event = '';
      data = [];
      continue;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?([\s\S]*))?$/.exec(line) ?? [];
    if (name === 'event') event = value;
    if (name === 'data') data.push(value);
  }
}

/** Whole lines; parts are kept apart until their line ends, since joined at each they would be copied again and again. */
async function* readLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let parts: string[] = [];
  for await (const bytes of body) {
    const lines = decoder.decode(bytes, { stream: true }).split('\n');
    const rest = lines.pop() ?? '';
    for (const end of lines) {
      yield [...parts, end].join('').replace(/\r$/, '');
      parts = [];
    }
    parts.push(rest);
  }
}
