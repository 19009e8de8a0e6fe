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
  const pointsAround = createPoints(salt);
  return (x, y) => {
    const points = pointsAround(Math.floor(x), Math.floor(y));
    let nearest = Infinity;
    let second = Infinity;
    let own = 0;
    for (let at = 0; at < points.length; at += 2) {
      const dx = (points[at] ?? 0) - x;
      const dy = (points[at + 1] ?? 0) - y;
      const distance = dx * dx + dy * dy;
      if (distance < nearest) {
        second = nearest;
        nearest = distance;
        own = at;
      } else if (distance < second) second = distance;
    }
    const id = Math.trunc(hash(Math.floor(points[own] ?? 0), Math.floor(points[own + 1] ?? 0), salt + 2) * 0x3fffffff);
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

/** The points of a square and of the eight around it, as x, y, x, y …; kept until another square is asked for. */
function createPoints(salt: number): (column: number, row: number) => Float64Array {
  const points = new Float64Array(18);
  let column = Number.NaN;
  let row = Number.NaN;
  return (wantedColumn, wantedRow) => {
    if (wantedColumn === column && wantedRow === row) return points;
    column = wantedColumn;
    row = wantedRow;
    for (let at = 0; at < points.length; at += 2) {
      const x = column - 1 + ((at / 2) % 3);
      const y = row - 1 + Math.trunc(at / 6);
      points[at] = x + 0.1 + 0.8 * hash(x, y, salt);
      points[at + 1] = y + 0.1 + 0.8 * hash(y, x, salt + 1);
    }
    return points;
  };
}
