import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { NewRender, RenderFilters, RenderRecord } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import { AT, accept, CANCELLED, claim, drawn, FAILURE, find, newRender, succeeded } from '../journal-fixtures.ts';

/** Hands all in with one call. */
function acceptAll(journal: Journal, renders: readonly NewRender[]) {
  return journal.accept({ renders, maxQueued: 100_000 });
}

/** Every page of a list, by its cursors. */
async function pages(journal: Journal, filters: RenderFilters, limit: number): Promise<RenderRecord[][]> {
  const found: RenderRecord[][] = [];
  let before: number | undefined;
  do {
    const page = await journal.listRenders({ filters, limit, before });
    found.push([...page.renders]);
    before = page.next;
  } while (before !== undefined);
  return found;
}

/** What a list names, by `request_id`. */
async function names(journal: Journal, filters: RenderFilters, limit = 50): Promise<string[]> {
  return (await pages(journal, filters, limit)).flat().map(({ requestId }) => requestId);
}

const PROMPTS = {
  river: 'A River delta at dawn, 3.5 miles wide',
  cafe: 'Café crème, don’t stir',
  decomposed: 'Cafe\u0301 noir',
  japanese: '山の川 夕焼け',
  hindi: 'हिन्दी नदी',
  volcano: 'emoji \u{1f30b} volcano-eruption AND snake_case',
  newer: 'the river at night',
  garden: '静かな日本の庭園、東京タワーtower 雪',
  chinese: '江南园林的雨',
  korean: '한국정원의 봄',
  rare: '\u{20bb7}野屋 か\u3099く',
};

const SEARCHES: readonly (readonly [what: string, text: string, found: (keyof typeof PROMPTS)[]])[] = [
  ['words in any order and any case', 'DELTA river', ['river']],
  ['the beginning of the last word', 'dawn riv', ['river']],
  ['all words, of which only the last may be begun', 'riv dawn', []],
  ['the newest first', 'river', ['newer', 'river']],
  ['the beginning of the last word, of one letter', 'river d', ['river']],
  ['the beginning of the last word, of three letters', 'noir caf', ['decomposed']],
  ['the beginning of the last word, of many letters', 'emoji volcan', ['volcano']],
  ['the beginning of several words', 'rive', ['newer', 'river']],
  ['nothing for the beginning of no word', 'river volcanic', []],
  ['a last word that is whole, and not its beginning', 'riverside', []],
  ['words without their accents', 'cafe', ['decomposed', 'cafe']],
  ['words with accents that are written in another way', 'CAFÉ cre\u0300me', ['cafe']],
  ['the beginning of a last word with accents', 'cafe\u0301 CR\u00c8M', ['cafe']],
  ['words that hold an apostrophe', 'don’t', ['cafe']],
  ['numbers', '3.5', ['river']],
  ['the beginning of Japanese text', '山の', ['japanese']],
  ['words within Japanese text', '庭園', ['garden']],
  ['the end of Japanese text', '夕焼け', ['japanese']],
  ['several words within Japanese text, in any order', '庭園 日本', ['garden']],
  ['one character of Japanese text', '川', ['japanese']],
  ['no characters in another order', '園庭', []],
  ['no characters with others between', '日庭', []],
  ['Japanese and other words, of which the last is begun', '庭園 tow', ['garden']],
  ['the beginning of a word behind Japanese text', 'ワーtowe', ['garden']],
  ['a word behind Japanese text', 'tower', ['garden']],
  ['words within Chinese text', '园林', ['chinese']],
  ['words within Korean text', '정원', ['korean']],
  ['Korean text that is decomposed', '정원'.normalize('NFD'), ['korean']],
  ['characters beyond the basic plane', '\u{20bb7}野', ['rare']],
  ['kana with their marks composed', 'がく', ['rare']],
  ['words with combining vowels', 'नदी', ['hindi']],
  ['words beside an emoji', '\u{1f30b} volc', ['volcano']],
  ['words that hyphens and underscores join', 'eruption snake', ['volcano']],
  ['quotes as nothing', '"river" """ delta"', ['river']],
  ['operators as words', 'emoji AND volcano', ['volcano']],
  ['operators as words that are not there', 'river NOT volcano', []],
  ['NEAR as a word', 'NEAR(river delta)', []],
  ['a column as words', 'prompt:river', []],
  ['stars, brackets and signs as nothing', '^river* -(delta) {+', ['river']],
  ['a lone accent as nothing', 'delta \u0301', ['river']],
  ['nothing for an emoji alone', '\u{1f30b}', []],
  ['nothing for signs alone', '!? "*" --', []],
  ['nothing for half a surrogate pair', '\ud83c', []],
  ['many words', Array(400).fill('river').join(' '), ['newer', 'river']],
];

/** How renders are listed, and found by what they are. */
export function listsOfJournal(open: OpenJournal): void {
  describe('listRenders', () => {
    it('lists the newest first, in pages that neither miss nor repeat while renders come in and end', async () => {
      const { journal } = await open();
      const renders = Array.from({ length: 11 }, (_, number) => newRender({ requestId: `r${number}` }));
      await acceptAll(journal, renders);
      const seen: string[] = [];
      let before: number | undefined;
      for (let number = 0; ; number += 1) {
        const page = await journal.listRenders({ filters: {}, limit: 2, before });
        seen.push(...page.renders.map(({ requestId }) => requestId));
        if (page.next === undefined) break;
        before = page.next;
        await accept(journal, { requestId: `later${number}` });
        const work = await claim(journal);
        if (number % 2 === 0) await journal.finish({ ...work, result: succeeded(), at: AT });
      }
      expect(seen).toEqual(renders.map(({ requestId }) => requestId).reverse());
      expect((await pages(journal, {}, 4)).map((page) => page.length)).toEqual([4, 4, 4, 4]);
    });

    it('shows each render as it is found alone, and has no page behind the last one', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      await accept(journal);
      await journal.finish({ ...(await claim(journal)), result: succeeded(2), at: AT });
      const { renders, next } = await journal.listRenders({ filters: {}, limit: 2 });
      expect(next).toBeUndefined();
      expect(renders).toEqual([await find(journal, renders[0]?.id ?? ''), await find(journal, id)]);
      expect(renders).toMatchObject([{ queuePosition: 1 }, { status: 'succeeded', images: [{}, {}], attempts: [{}] }]);
      expect(await journal.listRenders({ filters: {}, limit: 5, before: 0 })).toEqual({ renders: [], next: undefined });
    });

    it('has what matches each filter, and all of them', async () => {
      const { journal } = await open();
      const place = (era: string, biome: string | undefined) => ({ request: { prompt: 'a delta', era, biome } });
      const rows = [
        newRender({ requestId: 'done', ...place('modern', 'coast'), batchId: 'b' }),
        newRender({ requestId: 'failed', ...place('modern', 'desert'), owner: 'bob' }),
        newRender({ requestId: 'cancelled', ...place('ancient', 'coast') }),
        newRender({ requestId: 'running', ...place('modern', undefined), generator: 'other', batchId: 'b' }),
        newRender({ requestId: 'queued', ...place('modern', 'coast'), generator: 'other' }),
      ];
      await acceptAll(journal, rows);
      await journal.finish({ ...(await claim(journal)), result: succeeded(), at: AT });
      await journal.finish({ ...(await claim(journal)), result: { kind: 'failed', error: FAILURE }, at: AT });
      await journal.settle({ renderId: rows[2]?.id ?? '', status: 'cancelled', error: CANCELLED, at: AT });
      await claim(journal, 'other');
      const wanted: readonly (readonly [RenderFilters, string[]])[] = [
        [{ status: 'succeeded' }, ['done']],
        [{ status: 'failed' }, ['failed']],
        [{ status: 'cancelled' }, ['cancelled']],
        [{ status: 'running' }, ['running']],
        [{ status: 'queued' }, ['queued']],
        [{ generator: 'draw' }, ['cancelled', 'failed', 'done']],
        [{ generator: 'other' }, ['queued', 'running']],
        [{ era: 'modern' }, ['queued', 'running', 'failed', 'done']],
        [{ biome: 'coast' }, ['queued', 'cancelled', 'done']],
        [{ era: 'modern', biome: 'coast' }, ['queued', 'done']],
        [{ batchId: 'b' }, ['running', 'done']],
        [{ owner: 'bob' }, ['failed']],
        [{ owner: 'ann', generator: 'draw' }, ['cancelled', 'done']],
        [{ era: 'modern', status: 'failed' }, ['failed']],
        [{ batchId: 'b', status: 'failed' }, []],
        [{ generator: 'other', biome: 'coast', status: 'queued', era: 'modern', owner: 'ann' }, ['queued']],
        [{ text: 'delta', status: 'running' }, ['running']],
        [{ text: 'delta', era: 'modern', biome: 'coast' }, ['queued', 'done']],
        [{ text: 'delta', owner: 'bob', batchId: 'b' }, []],
        [{ generator: 'none' }, []],
      ];
      for (const [filters, found] of wanted) {
        expect([filters, await names(journal, filters)]).toEqual([filters, found]);
        expect(await names(journal, filters, 1)).toEqual(found);
      }
    });

    it('finds prompts by their words', async () => {
      const { journal } = await open();
      const rows = Object.entries(PROMPTS).map(([requestId, prompt]) => newRender({ requestId, request: { prompt } }));
      await acceptAll(journal, rows);
      for (const [what, text, found] of SEARCHES) {
        expect([what, await names(journal, { text })]).toEqual([what, found]);
      }
    });

    it('finds all prompts with a word that is only begun, newest first, however many words it may be', async () => {
      const { journal } = await open();
      const rows = Array.from({ length: 250 }, (_, number) =>
        newRender({ requestId: `r${number}`, request: { prompt: `scene${number % 125} of light${number % 7}` } }),
      );
      await acceptAll(journal, rows);
      const newestFirst = rows.map(({ requestId }) => requestId).reverse();
      // 125 words, 36, and 1.
      expect(await names(journal, { text: 'light scene' }, 9)).toEqual([]);
      expect(await names(journal, { text: 'of scene' }, 9)).toEqual(newestFirst);
      expect(await names(journal, { text: 'scene1 light' })).toEqual(['r126', 'r1']);
      expect(await names(journal, { text: 'light0 scene12' }, 3)).toEqual(
        newestFirst.filter((name) => {
          const number = Number(name.slice(1));
          return number % 7 === 0 && String(number % 125).startsWith('12');
        }),
      );
    });

    it('finds prompts at once, whether they were made findable before or not, also after a restart', async () => {
      const { journal, reopen } = await open();
      await acceptAll(
        journal,
        Array.from({ length: 501 }, () => newRender()),
      );
      expect(await journal.indexPrompts({})).toEqual({ left: true });
      expect(await journal.indexPrompts({})).toEqual({ left: false });
      await accept(journal, { requestId: 'last', request: { prompt: 'a delta with a bird' } });
      expect(await names(journal, { text: 'bird' })).toEqual(['last']);
      const later = await reopen();
      expect((await names(later, { text: 'delta' }, 200)).length).toBe(502);
      expect(await later.indexPrompts({})).toEqual({ left: false });
    });

    it('finds what is rare behind very many matches, if need be with empty pages between', async () => {
      const { journal } = await open();
      const rare = newRender({ requestId: 'rare', request: { prompt: 'a delta', era: 'rare' } });
      const plain = Array.from({ length: 5_200 }, () => newRender());
      await acceptAll(journal, [rare, ...plain]);
      const found = await pages(journal, { text: 'delta', era: 'rare' }, 10);
      expect(found.flat().map(({ requestId }) => requestId)).toEqual(['rare']);
      const everything = await pages(journal, { text: 'delta' }, 1000);
      const ids = everything.flat().map(({ id }) => id);
      expect(ids).toEqual([...plain.map(({ id }) => id).reverse(), rare.id]);
    });
  });

  describe('findNearest', () => {
    it('takes the same place first, then the era, the biome, and anything; there the likest words, then the newest', async () => {
      const { journal } = await open();
      const draw = async (digit: string, prompt: string, era?: string, biome?: string) => {
        await accept(journal, { request: { prompt, era, biome } });
        await journal.finish({ ...(await claim(journal)), result: drawn(digit, 'f'), at: AT });
      };
      await draw('1', 'a red boat', 'modern', 'coast');
      await draw('2', 'a blue boat on calm water', 'modern', 'coast');
      await draw('3', 'a BLUE boat', 'modern', 'desert');
      await draw('4', 'a blue boat', 'ancient', 'coast');
      await draw('5', 'a blue boat');
      await draw('6', 'quite another thing', 'modern', 'coast');
      const ask = async (era: string | undefined, biome: string | undefined, limit = 9, prompt = 'Blue boat!') => {
        const images = await journal.findNearest({ era, biome, prompt, limit });
        return images.map(({ imageId }) => imageId[0]).join('');
      };
      // Only the first image of each render.
      expect(await ask('modern', 'coast')).toBe('216');
      expect(await ask('modern', 'coast', 1)).toBe('2');
      expect(await ask('modern', 'coast', 9, 'nothing alike')).toBe('621');
      expect(await ask('modern', 'swamp')).toBe('3216');
      expect(await ask('future', 'coast')).toBe('4216');
      expect(await ask(undefined, 'desert')).toBe('3');
      expect(await ask('future', 'swamp')).toBe('543216');
      await journal.lose({ imageIds: ['2', '1', '6'].map((digit) => digit.repeat(64)), at: AT });
      expect(await ask('modern', 'coast')).toBe('3');
    });

    it('finds nothing where nothing is kept', async () => {
      const { journal } = await open();
      await accept(journal);
      await accept(journal);
      await journal.finish({ ...(await claim(journal)), result: { kind: 'failed', error: FAILURE }, at: AT });
      expect(await journal.findNearest({ prompt: 'a delta', limit: 3 })).toEqual([]);
    });

    it('has an image once that answered several requests', async () => {
      const { journal } = await open();
      const ask = (cacheKey: string, prompt = 'a delta') => accept(journal, { cacheKey, request: { prompt } });
      await ask('ab', 'a dune');
      await journal.finish({ ...(await claim(journal)), result: drawn('1'), at: AT });
      await ask('cd');
      await journal.finish({ ...(await claim(journal)), result: drawn('2'), at: AT });
      for (const _ of [1, 2, 3]) expect((await ask('cd')).cached).toBe(true);
      const images = await journal.findNearest({ prompt: 'a delta', limit: 2 });
      expect(images.map(({ imageId }) => imageId[0])).toEqual(['2', '1']);
    });
  });
}
