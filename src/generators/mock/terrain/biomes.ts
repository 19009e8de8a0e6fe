import type { BIOMES } from '../../../messages/projects.ts';

/** Red, green, blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** A biome that the style knows. */
export type Biome = (typeof BIOMES)[number];

/** How a biome is shaped and coloured. Shares and heights are 0 to 1, heights from the water up to the summits. */
export interface BiomeLook {
  /** What the land is where no depth map says so. */
  readonly form: 'hills' | 'coast' | 'island' | 'valley';
  /** Landforms across the picture. */
  readonly frequency: number;
  /** How sharp the crests are. */
  readonly ridges: number;
  /** Height over width, for slopes and their shading. */
  readonly relief: number;
  /** How deep running water cuts. */
  readonly erosion: number;
  /** Share of the picture under water; with a depth map, of its range of heights. */
  readonly water: number;
  /** Width of rivers, 1 usual; 0 none. */
  readonly rivers: number;
  readonly river: Rgb;
  readonly shallow: Rgb;
  readonly deep: Rgb;
  readonly beach: Rgb;
  /** Height that the beach reaches to. */
  readonly beachTop: number;
  /** The ground from the lows to the heights. */
  readonly ground: readonly [Rgb, Rgb, Rgb];
  /** The ground where it is dry. */
  readonly dry: Rgb;
  /** Crowns in shade, in light, and in clumps of their own. */
  readonly trees: readonly [Rgb, Rgb, Rgb];
  /** Share of the land under trees. */
  readonly cover: number;
  /** Height that trees reach to. */
  readonly treeLine: number;
  readonly rock: Rgb;
  /** Slope from which rock shows: 0.3 soon, 1 hardly ever. */
  readonly rockSlope: number;
  /** Height that snow reaches down to; above 1 there is none. */
  readonly snowLine: number;
  readonly texture: 'none' | 'dunes' | 'cracks' | 'pools';
  /** How much of the land can be farmed. */
  readonly arable: number;
  readonly crops: readonly Rgb[];
  /** White wisps over the lows. */
  readonly mist: number;
}

const SNOW_FREE = 9;

const TEMPERATE: BiomeLook = {
  form: 'hills',
  frequency: 2.6,
  ridges: 0.35,
  relief: 0.2,
  erosion: 1,
  water: 0.07,
  rivers: 1,
  river: [38, 62, 70],
  shallow: [58, 92, 92],
  deep: [16, 38, 58],
  beach: [126, 122, 88],
  beachTop: 0.012,
  ground: [
    [104, 122, 62],
    [96, 110, 60],
    [118, 116, 82],
  ],
  dry: [142, 134, 84],
  trees: [
    [24, 46, 26],
    [62, 92, 44],
    [46, 74, 34],
  ],
  cover: 0.58,
  treeLine: 0.95,
  rock: [122, 116, 104],
  rockSlope: 0.75,
  snowLine: SNOW_FREE,
  texture: 'none',
  arable: 1,
  crops: [
    [128, 142, 66],
    [178, 164, 92],
    [92, 122, 56],
    [150, 128, 84],
    [196, 182, 112],
  ],
  mist: 0,
};

/** How each biome looks. What a row does not say is as in temperate forest. */
export const BIOME_LOOKS: Readonly<Record<Biome, BiomeLook>> = {
  temperate_forest: TEMPERATE,
  rainforest: {
    ...TEMPERATE,
    frequency: 2.9,
    ridges: 0.5,
    relief: 0.22,
    water: 0.02,
    rivers: 1.7,
    river: [74, 72, 48],
    shallow: [70, 78, 54],
    deep: [30, 44, 38],
    ground: [
      [44, 74, 40],
      [36, 66, 42],
      [40, 68, 50],
    ],
    dry: [56, 82, 44],
    trees: [
      [6, 30, 24],
      [30, 68, 44],
      [16, 50, 40],
    ],
    cover: 1,
    treeLine: 2,
    rockSlope: 1.3,
    arable: 0.75,
    crops: [
      [112, 130, 52],
      [142, 108, 66],
      [88, 124, 58],
    ],
    mist: 0.7,
  },
  jungle: {
    ...TEMPERATE,
    frequency: 4.4,
    ridges: 0.15,
    relief: 0.17,
    erosion: 0.6,
    water: 0.04,
    rivers: 2.2,
    river: [148, 112, 66],
    shallow: [150, 118, 72],
    deep: [104, 86, 56],
    beach: [170, 140, 90],
    ground: [
      [112, 134, 38],
      [94, 124, 36],
      [104, 128, 46],
    ],
    dry: [134, 140, 54],
    trees: [
      [26, 62, 10],
      [92, 132, 28],
      [124, 142, 34],
    ],
    cover: 0.86,
    treeLine: 2,
    rock: [140, 126, 96],
    rockSlope: 1.2,
    arable: 0.8,
    crops: [
      [150, 158, 60],
      [176, 128, 74],
      [124, 150, 50],
    ],
  },
  boreal_forest: {
    ...TEMPERATE,
    frequency: 3.4,
    relief: 0.14,
    ridges: 0.25,
    water: 0.14,
    river: [30, 42, 52],
    shallow: [44, 58, 66],
    deep: [12, 24, 38],
    beach: [104, 106, 92],
    beachTop: 0.006,
    ground: [
      [112, 106, 74],
      [98, 98, 74],
      [120, 116, 102],
    ],
    dry: [130, 120, 92],
    trees: [
      [14, 30, 32],
      [42, 62, 56],
      [30, 48, 50],
    ],
    cover: 0.76,
    treeLine: 0.9,
    rock: [132, 130, 126],
    snowLine: 0.97,
    arable: 0.45,
    crops: [
      [126, 126, 84],
      [150, 142, 104],
      [104, 112, 76],
    ],
  },
  deciduous_forest: {
    ...TEMPERATE,
    relief: 0.18,
    ground: [
      [150, 138, 74],
      [142, 124, 66],
      [134, 118, 84],
    ],
    dry: [172, 146, 86],
    trees: [
      [92, 44, 18],
      [190, 108, 36],
      [164, 52, 26],
    ],
    cover: 0.74,
    treeLine: 2,
    crops: [
      [176, 156, 84],
      [140, 138, 70],
      [198, 172, 104],
      [126, 92, 60],
    ],
  },
  desert: {
    ...TEMPERATE,
    frequency: 2.2,
    ridges: 0.6,
    relief: 0.17,
    erosion: 0.5,
    water: 0,
    rivers: 0.5,
    river: [222, 192, 142],
    shallow: [120, 142, 122],
    deep: [58, 98, 104],
    beach: [214, 196, 158],
    ground: [
      [220, 172, 108],
      [204, 144, 84],
      [168, 104, 64],
    ],
    dry: [230, 188, 126],
    trees: [
      [84, 92, 52],
      [122, 120, 72],
      [98, 104, 58],
    ],
    cover: 0.02,
    rock: [142, 88, 62],
    rockSlope: 0.42,
    texture: 'dunes',
    arable: 0.3,
    crops: [
      [104, 124, 62],
      [142, 146, 84],
      [84, 112, 56],
    ],
  },
  mountain: {
    ...TEMPERATE,
    frequency: 2.2,
    ridges: 1,
    relief: 0.36,
    erosion: 1.5,
    water: 0.02,
    rivers: 0.8,
    river: [92, 128, 136],
    shallow: [82, 132, 138],
    deep: [34, 84, 104],
    ground: [
      [82, 98, 56],
      [112, 108, 82],
      [128, 122, 114],
    ],
    dry: [130, 122, 96],
    trees: [
      [22, 38, 28],
      [50, 70, 46],
      [36, 56, 38],
    ],
    cover: 0.6,
    treeLine: 0.42,
    rock: [118, 112, 108],
    rockSlope: 0.55,
    snowLine: 0.6,
    arable: 0.5,
    crops: [
      [132, 142, 80],
      [166, 154, 98],
      [110, 128, 66],
    ],
  },
  tropical_island: {
    ...TEMPERATE,
    form: 'island',
    frequency: 3.2,
    ridges: 0.5,
    relief: 0.2,
    water: 0.66,
    rivers: 0.5,
    river: [70, 148, 142],
    shallow: [86, 204, 196],
    deep: [8, 66, 122],
    beach: [240, 226, 186],
    beachTop: 0.06,
    ground: [
      [128, 152, 66],
      [92, 128, 50],
      [102, 122, 66],
    ],
    dry: [170, 168, 92],
    trees: [
      [20, 62, 24],
      [70, 122, 44],
      [104, 140, 52],
    ],
    cover: 0.78,
    treeLine: 2,
    rockSlope: 1,
    crops: [
      [150, 168, 74],
      [190, 172, 96],
      [120, 152, 60],
    ],
  },
  river: {
    ...TEMPERATE,
    form: 'valley',
    frequency: 2.6,
    ridges: 0.15,
    relief: 0.13,
    erosion: 0.6,
    water: 0.13,
    rivers: 1.3,
    river: [78, 122, 128],
    shallow: [112, 146, 138],
    deep: [42, 92, 112],
    beach: [196, 184, 148],
    beachTop: 0.05,
    ground: [
      [116, 142, 66],
      [118, 134, 66],
      [130, 130, 78],
    ],
    dry: [160, 152, 92],
    trees: [
      [34, 62, 30],
      [84, 116, 50],
      [66, 98, 42],
    ],
    cover: 0.4,
    treeLine: 2,
  },
  tundra: {
    ...TEMPERATE,
    frequency: 3,
    ridges: 0.3,
    relief: 0.13,
    erosion: 0.7,
    water: 0.07,
    rivers: 0.9,
    river: [72, 92, 104],
    shallow: [88, 104, 108],
    deep: [36, 54, 70],
    beach: [136, 124, 104],
    ground: [
      [134, 110, 72],
      [142, 106, 76],
      [148, 136, 122],
    ],
    dry: [158, 132, 96],
    trees: [
      [112, 66, 44],
      [146, 96, 58],
      [104, 100, 58],
    ],
    cover: 0.36,
    rock: [140, 134, 128],
    rockSlope: 0.5,
    snowLine: 0.7,
    texture: 'pools',
    arable: 0.2,
    crops: [
      [150, 132, 92],
      [128, 120, 82],
    ],
  },
  steppe: {
    ...TEMPERATE,
    frequency: 2,
    ridges: 0.2,
    relief: 0.12,
    erosion: 0.8,
    water: 0.015,
    rivers: 0.6,
    river: [116, 124, 104],
    shallow: [142, 148, 124],
    deep: [84, 108, 112],
    beach: [206, 196, 164],
    ground: [
      [186, 172, 112],
      [178, 160, 104],
      [160, 142, 100],
    ],
    dry: [204, 186, 132],
    trees: [
      [104, 104, 58],
      [140, 134, 78],
      [122, 116, 64],
    ],
    cover: 0.06,
    rock: [150, 132, 108],
    rockSlope: 0.5,
    arable: 0.8,
    crops: [
      [204, 184, 112],
      [176, 150, 92],
      [150, 148, 82],
      [220, 204, 144],
    ],
  },
  coastal: {
    ...TEMPERATE,
    form: 'coast',
    frequency: 3,
    ridges: 0.3,
    relief: 0.18,
    water: 0.46,
    rivers: 0.9,
    river: [44, 84, 96],
    shallow: [66, 134, 142],
    deep: [14, 50, 86],
    beach: [218, 204, 164],
    beachTop: 0.035,
    ground: [
      [134, 148, 84],
      [122, 136, 76],
      [128, 126, 90],
    ],
    dry: [170, 160, 108],
    trees: [
      [38, 62, 36],
      [82, 108, 60],
      [64, 90, 50],
    ],
    cover: 0.34,
    treeLine: 2,
    rock: [156, 146, 128],
    rockSlope: 0.6,
  },
  swamp: {
    ...TEMPERATE,
    frequency: 4.4,
    ridges: 0.05,
    relief: 0.07,
    erosion: 0.4,
    water: 0.3,
    rivers: 1.6,
    river: [34, 42, 30],
    shallow: [66, 72, 38],
    deep: [20, 30, 26],
    beach: [78, 82, 46],
    beachTop: 0.03,
    ground: [
      [84, 90, 44],
      [92, 92, 50],
      [104, 98, 62],
    ],
    dry: [118, 108, 66],
    trees: [
      [32, 42, 24],
      [68, 76, 42],
      [88, 84, 50],
    ],
    cover: 0.48,
    treeLine: 2,
    rockSlope: 2,
    texture: 'pools',
    arable: 0.45,
    crops: [
      [124, 124, 64],
      [100, 112, 58],
      [142, 126, 78],
    ],
    mist: 0.3,
  },
  plains: {
    ...TEMPERATE,
    frequency: 1.8,
    ridges: 0.05,
    relief: 0.09,
    erosion: 0.7,
    water: 0.02,
    rivers: 1.1,
    river: [64, 90, 92],
    shallow: [92, 118, 108],
    deep: [40, 72, 86],
    ground: [
      [136, 158, 72],
      [150, 162, 78],
      [166, 162, 92],
    ],
    dry: [188, 178, 100],
    trees: [
      [50, 80, 36],
      [96, 122, 54],
      [80, 108, 46],
    ],
    cover: 0.12,
    treeLine: 2,
  },
  arctic: {
    ...TEMPERATE,
    frequency: 2.6,
    ridges: 0.5,
    relief: 0.15,
    erosion: 0.6,
    water: 0.16,
    rivers: 0.5,
    river: [142, 186, 206],
    shallow: [120, 176, 196],
    deep: [14, 44, 70],
    beach: [196, 216, 226],
    beachTop: 0.02,
    ground: [
      [216, 226, 234],
      [232, 238, 242],
      [244, 247, 249],
    ],
    dry: [224, 232, 238],
    trees: [
      [150, 160, 168],
      [186, 196, 204],
      [170, 178, 184],
    ],
    cover: 0,
    rock: [110, 112, 120],
    rockSlope: 0.72,
    snowLine: SNOW_FREE,
    texture: 'cracks',
    arable: 0,
  },
};
