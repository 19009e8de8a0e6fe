import { generatorConformance } from '../conformance.ts';
import { localSdxl } from './generator.ts';
import { startInProcess } from './in-process.ts';
import { tinyModel } from './tiny-model.ts';

generatorConformance('LocalSDXLGenerator', {
  create: async (clock) => {
    const model_dir = await tinyModel('tiny-sdxl-controlnet-merged');
    const styles = { photographic: model_dir };
    const loras = [{ path: 'drone', scale: 0.8, model_dir }];
    return localSdxl({ config: { model_dir, styles, loras }, clock, startChild: startInProcess });
  },
});
