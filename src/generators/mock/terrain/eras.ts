import type { ERAS } from '../../../messages/projects.ts';
import type { Rgb } from './biomes.ts';

/** An era that the style knows. */
export type Era = (typeof ERAS)[number];

/** What people have built, in parts of the picture's longer side where it is a length. */
export interface EraLook {
  readonly towns: number;
  /** Reach of a town around its middle. */
  readonly townRadius: number;
  /** How closely built it is, 0 to 1. */
  readonly density: number;
  /** Share of the arable land under the plough. */
  readonly fields: number;
  /** Fields side by side across the picture. */
  readonly fieldCount: number;
  readonly fieldShape: 'strips' | 'circles';
  /** How buildings are laid out, and how many blocks fit across the picture. */
  readonly plan: 'streets' | 'rings';
  readonly blocks: number;
  /** Lots along a block's side. */
  readonly lots: number;
  /** Share of the lots that are built on. */
  readonly fill: number;
  /** Share of the blocks that are one large building. */
  readonly halls: number;
  /** Share of the blocks that stay green. */
  readonly parks: number;
  readonly roofs: readonly Rgb[];
  readonly street: Rgb;
  /** What lies between the buildings; the land itself shows through by `overgrown`. */
  readonly yard: Rgb;
  readonly overgrown: number;
  readonly road: Rgb;
  /** 0 draws none. */
  readonly roadWidth: number;
  /** Share of a road that can still be seen. */
  readonly roadShown: number;
  /** A second net, straight or along the roads: railways, transit. */
  readonly rail: Rgb;
  readonly railWidth: number;
  readonly smoke: number;
  readonly smokeColour: Rgb;
  /** Lit or burning lots, as a share of them. */
  readonly lights: number;
  /** Veil over everything, 0 to 1. */
  readonly haze: number;
  readonly hazeColour: Rgb;
  readonly saturation: number;
  readonly brightness: number;
}

const NOTHING: EraLook = {
  towns: 0,
  townRadius: 0,
  density: 0,
  fields: 0,
  fieldCount: 40,
  fieldShape: 'strips',
  plan: 'streets',
  blocks: 60,
  lots: 3,
  fill: 0,
  halls: 0,
  parks: 0,
  roofs: [[140, 120, 100]],
  street: [150, 138, 116],
  yard: [120, 116, 84],
  overgrown: 0,
  road: [164, 142, 104],
  roadWidth: 0,
  roadShown: 1,
  rail: [58, 52, 48],
  railWidth: 0,
  smoke: 0,
  smokeColour: [212, 208, 204],
  lights: 0,
  haze: 0,
  hazeColour: [200, 200, 200],
  saturation: 1,
  brightness: 1,
};

/** What each era leaves in the landscape. What a row does not say is as in the wilderness: nothing. */
export const ERA_LOOKS: Readonly<Record<Era, EraLook>> = {
  wilderness: NOTHING,
  pre_industrial: {
    ...NOTHING,
    towns: 4,
    townRadius: 0.03,
    density: 0.75,
    fields: 0.22,
    fieldCount: 64,
    blocks: 80,
    lots: 2,
    fill: 0.55,
    roofs: [
      [150, 118, 78],
      [128, 98, 66],
      [168, 138, 92],
    ],
    yard: [146, 134, 92],
    roadWidth: 0.0014,
    roadShown: 0.8,
  },
  early_industrial: {
    ...NOTHING,
    towns: 8,
    townRadius: 0.042,
    density: 0.85,
    fields: 0.62,
    fieldCount: 46,
    blocks: 76,
    fill: 0.7,
    halls: 0.05,
    roofs: [
      [146, 84, 62],
      [128, 76, 60],
      [112, 92, 80],
    ],
    street: [160, 146, 122],
    yard: [126, 118, 84],
    road: [182, 164, 128],
    roadWidth: 0.0023,
    smoke: 0.35,
    smokeColour: [226, 222, 216],
  },
  late_industrial: {
    ...NOTHING,
    towns: 8,
    townRadius: 0.085,
    density: 0.95,
    fields: 0.55,
    fieldCount: 38,
    blocks: 58,
    lots: 4,
    fill: 0.85,
    halls: 0.3,
    roofs: [
      [104, 62, 50],
      [86, 66, 58],
      [72, 70, 70],
      [122, 80, 62],
    ],
    street: [104, 98, 92],
    yard: [92, 84, 72],
    road: [138, 128, 112],
    roadWidth: 0.0026,
    railWidth: 0.0022,
    smoke: 1,
    smokeColour: [66, 60, 56],
    haze: 0.16,
    hazeColour: [164, 148, 116],
    saturation: 0.8,
  },
  modern: {
    ...NOTHING,
    towns: 8,
    townRadius: 0.12,
    density: 0.8,
    fields: 0.6,
    fieldCount: 30,
    blocks: 46,
    lots: 4,
    fill: 0.62,
    halls: 0.06,
    parks: 0.08,
    roofs: [
      [206, 196, 180],
      [178, 110, 82],
      [190, 184, 178],
      [156, 150, 146],
    ],
    street: [172, 170, 164],
    yard: [112, 132, 74],
    road: [198, 196, 188],
    roadWidth: 0.003,
    haze: 0.03,
  },
  current: {
    ...NOTHING,
    towns: 6,
    townRadius: 0.24,
    density: 1,
    fields: 0.55,
    fieldCount: 26,
    blocks: 40,
    lots: 4,
    fill: 0.93,
    halls: 0.16,
    parks: 0.05,
    roofs: [
      [196, 194, 192],
      [150, 150, 152],
      [222, 218, 210],
      [116, 116, 120],
      [170, 158, 146],
    ],
    street: [92, 92, 94],
    yard: [140, 138, 130],
    road: [226, 222, 210],
    roadWidth: 0.0052,
    haze: 0.05,
    hazeColour: [190, 196, 206],
    saturation: 0.95,
  },
  future: {
    ...NOTHING,
    towns: 6,
    townRadius: 0.15,
    density: 1,
    fields: 0.7,
    fieldCount: 22,
    fieldShape: 'circles',
    plan: 'rings',
    fill: 0.9,
    roofs: [
      [244, 248, 248],
      [216, 234, 236],
      [64, 150, 84],
      [96, 184, 104],
    ],
    street: [198, 240, 240],
    yard: [84, 158, 88],
    road: [236, 246, 246],
    roadWidth: 0,
    rail: [120, 244, 248],
    railWidth: 0.0034,
    saturation: 1.14,
    brightness: 1.05,
  },
  dystopia: {
    ...NOTHING,
    towns: 7,
    townRadius: 0.34,
    density: 1,
    fields: 0,
    blocks: 34,
    lots: 5,
    fill: 0.97,
    halls: 0.34,
    roofs: [
      [58, 54, 54],
      [74, 68, 64],
      [106, 62, 40],
      [44, 44, 48],
      [86, 58, 44],
    ],
    street: [30, 28, 30],
    yard: [62, 54, 46],
    road: [38, 34, 34],
    roadWidth: 0.004,
    smoke: 1.2,
    smokeColour: [40, 34, 30],
    lights: 0.045,
    haze: 0.3,
    hazeColour: [104, 78, 52],
    saturation: 0.42,
    brightness: 0.66,
  },
  ruins: {
    ...NOTHING,
    towns: 6,
    townRadius: 0.24,
    density: 0.9,
    fields: 0.16,
    fieldCount: 28,
    blocks: 40,
    lots: 4,
    fill: 0.42,
    halls: 0.1,
    parks: 0.22,
    roofs: [
      [146, 142, 132],
      [118, 116, 106],
      [164, 154, 138],
      [98, 92, 82],
    ],
    street: [134, 132, 116],
    yard: [96, 104, 68],
    overgrown: 0.55,
    road: [146, 142, 128],
    roadWidth: 0.004,
    roadShown: 0.55,
    haze: 0.03,
    saturation: 0.88,
  },
};
