/** A LoRA of the model server by its name there. */
export interface Lora {
  readonly name: string;
  readonly strength: number;
}

/** Strengths of the two LoRAs that Experimance's server has: `drone` (views from above) and `experimance` (its style). */
const BY_ERA: Readonly<Record<string, { readonly drone?: number; readonly experimance: number }>> = {
  wilderness: { drone: 0.8, experimance: 0.4 },
  pre_industrial: { drone: 0.8, experimance: 0.4 },
  early_industrial: { drone: 0.8, experimance: 0.4 },
  late_industrial: { drone: 0.6, experimance: 0.5 },
  modern: { drone: 0.3, experimance: 0.6 },
  current: { drone: 0.3, experimance: 0.9 },
  future: { experimance: 1.1 },
  dystopia: { drone: 0.6, experimance: 0.5 },
  ruins: { drone: 0.8, experimance: 0.3 },
};

/** The LoRAs of an era; one that is not known, or none, gets the style alone. */
export function lorasOfEra(era: string | undefined): Lora[] {
  const { drone, experimance } = BY_ERA[era ?? ''] ?? { experimance: 1 };
  const style = { name: 'experimance', strength: experimance };
  return drone === undefined ? [style] : [{ name: 'drone', strength: drone }, style];
}
