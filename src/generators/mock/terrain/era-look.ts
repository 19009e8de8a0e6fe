import type { Rgb } from './colours.ts';
import { rgb, rgbs } from './colours.ts';

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

/** A land without people; what an era does not say is as here. */
export const NOTHING: EraLook = {
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
  roofs: rgbs('#8c7864'),
  street: rgb('#968a74'),
  yard: rgb('#787454'),
  overgrown: 0,
  road: rgb('#a48e68'),
  roadWidth: 0,
  roadShown: 1,
  rail: rgb('#3a3430'),
  railWidth: 0,
  smoke: 0,
  smokeColour: rgb('#d4d0cc'),
  lights: 0,
  haze: 0,
  hazeColour: rgb('#c8c8c8'),
  saturation: 1,
  brightness: 1,
};
