import type { JournalledAttempt } from '../journal-file.ts';
import type { Check, Evidence } from './check.ts';
import { groupBy, nameOf } from './check.ts';

/** What one prompt's works did, beside what the provider was asked for it: the fake notes prompts, not our ids. */
function byPrompt({ journal, upstream }: Evidence) {
  const attempts = groupBy(journal.attempts, ({ work_id }) => work_id);
  const submits = groupBy(
    upstream.filter(({ call }) => call === 'submit'),
    ({ prompt }) => prompt,
  );
  const tried = new Set(journal.attempts.filter(isProviders).map(({ work_id }) => work_id));
  const renders = groupBy(
    journal.renders.filter(({ work_id }) => tried.has(work_id)),
    ({ request }) => request.prompt,
  );
  return [...renders].map(([prompt, ofPrompt]) => ({
    prompt,
    attempts: [...new Set(ofPrompt.map(({ work_id }) => work_id))]
      .flatMap((id) => attempts.get(id) ?? [])
      .filter(isProviders),
    submits: submits.get(prompt) ?? [],
  }));
}

function isProviders({ generator }: JournalledAttempt): boolean {
  return generator === 'fal';
}

/** Whether its submit was about to leave, or had left, and no job's id has taken the place of the note of that. */
function isUnheard({ remote_id }: JournalledAttempt): boolean {
  return remote_id?.startsWith('submitting:') === true;
}

/** Such an attempt that may have a job nonetheless: one that was refused had none, and what goes on has the same note. */
function unheardJobs(attempts: readonly JournalledAttempt[]): number {
  const open = attempts.filter((attempt) => isUnheard(attempt) && attempt.outcome !== 'failed');
  return new Set(open.map(({ remote_id }) => remote_id)).size;
}

/** Works, their attempts, and the generator's own log. */
export const WORK_CHECKS: readonly Check[] = [
  {
    name: 'no work is left, and no attempt is open',
    violations: ({ journal }) => [
      ...journal.works
        .filter(({ status }) => status === 'queued' || status === 'running')
        .map(({ id, status }) => `work ${id} is ${status}`),
      ...journal.attempts
        .filter(({ ended_at }) => ended_at === null)
        .map(({ work_id, attempt }) => `attempt ${attempt} of ${work_id} has not ended`),
      ...journal.queue_counts
        .filter(({ queued }) => queued !== 0)
        .map(({ generator, queued }) => `the queue of ${generator} counts ${queued}`),
    ],
  },
  {
    name: 'no work succeeds twice, or goes on after it has succeeded',
    violations: ({ journal }) =>
      [...groupBy(journal.attempts, ({ work_id }) => work_id)].flatMap(([id, attempts]) => {
        const at = attempts.findIndex(({ outcome }) => outcome === 'succeeded');
        return at === -1 || at === attempts.length - 1 ? [] : [`work ${id} went on after attempt ${at + 1}`];
      }),
  },
  {
    name: 'work that the process dies with is tried crash_attempts times, ten times as often with a job elsewhere',
    violations({ journal, crashAttempts }) {
      const crashes = groupBy(
        journal.attempts.filter(({ outcome }) => outcome === 'crashed'),
        ({ work_id }) => work_id,
      );
      const own = (attempts: readonly JournalledAttempt[]) => attempts.filter(({ remote_id }) => remote_id === null);
      const isOver = (attempts: readonly JournalledAttempt[] = []) =>
        own(attempts).length === crashAttempts || attempts.length === 10 * crashAttempts;
      const crashed = journal.renders.filter(({ error }) => error?.code === 'crashed');
      return [
        ...[...crashes]
          .filter(([, all]) => own(all).length > crashAttempts || all.length > 10 * crashAttempts)
          .map(([id, all]) => `work ${id} was begun ${all.length} times, ${own(all).length} of them without a job`),
        ...crashed
          .filter(({ work_id }) => !isOver(crashes.get(work_id)))
          .map((render) => `${nameOf(render)} was given up after ${crashes.get(render.work_id)?.length ?? 0}`),
      ];
    },
  },
  {
    name: 'no generator tries more often than its retries allow, over all starts',
    violations({ journal, retries }) {
      const failures = journal.attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'unknown');
      return [...groupBy(failures, ({ work_id, generator }) => `${generator} tried work ${work_id}`)]
        .filter(([, all]) => all.length > retries + 1)
        .map(([what, all]) => `${what} ${all.length} times`);
    },
  },
  {
    name: 'what is refused for its content is neither tried again nor given to others',
    violations: ({ journal }) =>
      [...groupBy(journal.attempts, ({ work_id }) => work_id)].flatMap(([id, attempts]) => {
        const at = attempts.findIndex(({ error }) => error?.code === 'content_rejected');
        return at === -1 || at === attempts.length - 1 ? [] : [`work ${id} went on after attempt ${at + 1}`];
      }),
  },
  {
    name: 'the provider is asked once for an attempt, and never unless that is journalled',
    violations: (evidence) =>
      byPrompt(evidence).flatMap(({ prompt, attempts, submits }) => {
        const noted = new Set(attempts.flatMap(({ remote_id }) => remote_id ?? []));
        const unnoted = submits.filter(({ id }) => !noted.has(id)).length;
        const unheard = unheardJobs(attempts);
        return unnoted <= unheard
          ? []
          : [`"${prompt}" was submitted ${submits.length} times, for ${noted.size} notes, ${unheard} of them unheard`];
      }),
  },
  {
    name: 'what may have been submitted is not submitted again, neither with its job id nor without',
    violations: ({ journal }) =>
      [...groupBy(journal.attempts.filter(isProviders), ({ work_id }) => work_id)].flatMap(([id, attempts]) =>
        attempts.flatMap(({ attempt, outcome, remote_id }, at) => {
          const next = attempts[at + 1];
          const goesOn = outcome === 'crashed' || outcome === 'released';
          return !goesOn || remote_id === null || next === undefined || next.remote_id === remote_id
            ? []
            : [`attempt ${attempt} of work ${id} had ${remote_id}, the next one ${next.remote_id}`];
        }),
      ),
  },
  {
    name: 'every journalled job id is one that the provider gave',
    violations({ journal, upstream }) {
      const given = new Set(upstream.map(({ id }) => id));
      return journal.attempts
        .filter((attempt) => !isUnheard(attempt))
        .filter(({ remote_id }) => remote_id !== null && !given.has(remote_id))
        .map(({ remote_id }) => `job ${remote_id} is unknown to the provider`);
    },
  },
];
