import type { RenderRequestField } from './fields.ts';

/** Experimance's eras, in their order in time. */
export const ERAS = [
  'wilderness',
  'pre_industrial',
  'early_industrial',
  'late_industrial',
  'modern',
  'current',
  'future',
  'dystopia',
  'ruins',
] as const;

/** Experimance's biomes. */
export const BIOMES = [
  'rainforest',
  'temperate_forest',
  'boreal_forest',
  'deciduous_forest',
  'desert',
  'mountain',
  'tropical_island',
  'river',
  'tundra',
  'steppe',
  'coastal',
  'swamp',
  'plains',
  'arctic',
  'jungle',
] as const;

/** What a project's messages say about place and time. */
export interface ProjectRules {
  /** Allowed values of `era` and `biome`; without a list every value is. */
  readonly eras?: readonly string[];
  readonly biomes?: readonly string[];
  /** Whether a request on the bus must name both: the project's core discards an answer without them. */
  readonly placeRequired: boolean;
  /** Fields of other projects: its own server knows nothing of them, and ignores whatever they hold. */
  readonly foreign: readonly RenderRequestField[];
}

/** The projects whose messages the bus knows. */
export const PROJECTS = {
  experimance: { eras: ERAS, biomes: BIOMES, placeRequired: true, foreign: ['strength'] },
  fire: { placeRequired: false, foreign: ['era', 'biome'] },
  base: { placeRequired: false, foreign: ['era', 'biome', 'strength'] },
} as const satisfies Record<string, ProjectRules>;

/** The rules of `[bus]`. In the time of the layout `pubsub` an id and a prompt were enough for every project. */
export function projectRules({ project, layout }: { project: ProjectName; layout: 'worker' | 'pubsub' }): ProjectRules {
  const rules = PROJECTS[project];
  return layout === 'pubsub' ? { ...rules, placeRequired: false } : rules;
}

/** Name of a project. */
export type ProjectName = keyof typeof PROJECTS;
