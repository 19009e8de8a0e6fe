import { journalConformance } from '../journal-conformance.ts';
import { openJournal } from './open.ts';

journalConformance('in SQLite', () => openJournal());
