import { hash } from './numbers.ts';

/** Where a place lies in a pattern of irregular districts. One object, changed at each call. */
export interface Place {
  /** Number of the district. */
  id: number;
  /** Direction of its streets or furrows, a unit vector. */
  cos: number;
  sin: number;
  /** Distance to the border, 0 at it, in districts. */
  border: number;
}

/** Districts around scattered points: the cells of Worley's noise (1996). The place it returns is always the same. */
export function createDistricts(salt: number): (x: number, y: number) => Place {
  const place: Place = { id: 0, cos: 1, sin: 0, border: 1 };
  return (x, y) => {
    const cx = Math.floor(x);
    const cy = Math.floor(y);
    let nearest = Infinity;
    let second = Infinity;
    let nx = 0;
    let ny = 0;
    for (let gy = cy - 1; gy <= cy + 1; gy += 1) {
      for (let gx = cx - 1; gx <= cx + 1; gx += 1) {
        const dx = gx + 0.1 + 0.8 * hash(gx, gy, salt) - x;
        const dy = gy + 0.1 + 0.8 * hash(gy, gx, salt + 1) - y;
        const distance = dx * dx + dy * dy;
        if (distance < nearest) {
          second = nearest;
          nearest = distance;
          nx = gx;
          ny = gy;
        } else if (distance < second) second = distance;
      }
    }
    const id = Math.trunc(hash(nx, ny, salt + 2) * 0x3fffffff);
    if (id !== place.id) {
      const angle = hash(id, 5, salt) * Math.PI;
      place.id = id;
      place.cos = Math.cos(angle);
      place.sin = Math.sin(angle);
    }
    place.border = 0.5 * (Math.sqrt(second) - Math.sqrt(nearest));
    return place;
  };
}
