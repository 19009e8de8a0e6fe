import type { Paint } from './paint.ts';

/**
 * What is at a pixel. One object, changed for each, because numbers that are handed to a function one by one are boxed
 * where the engine does not inline it.
 */
export interface Spot {
  u: number;
  v: number;
  /** 0 at the water, 1 at the summits; 0 in the water. */
  climb: number;
  /** Below the water's surface, in heights of the land. */
  depth: number;
  slope: number;
  moisture: number;
  /** Patches the size of hills, −1 to 1. */
  mottle: number;
  /** Fine noise, −1 to 1. */
  grain: number;
  /** How far it is under trees, 0 to 1. */
  cover: number;
  /** Share of the land under the plough, 0 to 1. */
  farmed: number;
  /** How closely it is built, 0 to 1. */
  urban: number;
  smoke: number;
  mist: number;
}

/** A spot to reuse. */
export function createSpot(): Spot {
  return {
    u: 0,
    v: 0,
    climb: 0,
    depth: 0,
    slope: 0,
    moisture: 0,
    mottle: 0,
    grain: 0,
    cover: 0,
    farmed: 0,
    urban: 0,
    smoke: 0,
    mist: 0,
  };
}

/** Changes a paint by what is at a spot. */
export type Painter = (paint: Paint, spot: Spot) => void;
