import { z } from 'zod';
import { localSdxlSection } from './local-sdxl-schema.ts';
import { openaiSection } from './openai-schema.ts';
import { falComfySection, falLightningSection, falSection, MAX_SECONDS, vastaiSection } from './remote-schema.ts';
import { runwareSection } from './runware-schema.ts';

const seconds = z.number().positive().max(MAX_SECONDS);

/**
 * One section a table of config.toml; each key has its default, and a sentence with its unit. A key without a default
 * has an example, which stands commented out in config.toml.
 */
export const configSchema = z.strictObject({
  cache_dir: z.string().min(1).default('images').describe('Folder of the images; relative to the working directory'),
  data_dir: z.string().min(1).default('data').describe('Folder of the journal; one process at a time'),
  max_cache_size_gb: z
    .number()
    .positive()
    .default(2.0)
    .describe('Most that images and inputs may take, in GiB; beyond it the least recently used go, down to 80 %'),
  log_level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('Least severe log lines that are written'),
  http: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
      port: z.int().min(0).max(65535).default(8080).describe('Port to listen on; 0 picks a free one and logs it'),
      public_url: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('Base of the image links, when behind a proxy')
        .meta({ examples: ['https://images.example.org'] }),
      allowed_hosts: z
        .array(z.string().min(1))
        .default([])
        .describe('Host names, without port, by which callers may reach the server beside addresses and localhost'),
      allowed_origins: z
        .array(z.url({ protocol: /^https?$/ }))
        .default([])
        .describe(
          'Origins of web pages, beside our own, that may send requests, read answers and open the event stream',
        ),
      max_body_mb: z.number().positive().max(1024).default(1).describe('Largest request body, in MiB'),
      max_image_body_mb: z
        .number()
        .positive()
        .max(1024)
        .default(20)
        .describe('Largest request body that may hold images, in MiB'),
      drain_s: z
        .number()
        .min(0)
        .max(MAX_SECONDS)
        .default(30)
        .describe('Seconds that running renders get when the server stops'),
    })
    .prefault({}),
  auth: z
    .strictObject({
      anonymous: z
        .boolean()
        .default(false)
        .describe('Allow listening beyond loopback although anybody can then render'),
    })
    .prefault({}),
  bus: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Whether to take work from an Experimance core'),
      layout: z
        .enum(['worker', 'pubsub'])
        .default('worker')
        .describe(
          'Requests and results on sockets of their own, as Experimance has them today, or published, as in June 2025',
        ),
      project: z
        .enum(['experimance', 'fire', 'base'])
        .default('experimance')
        .describe('Whose messages: experimance demands era and biome from its own lists'),
      requests: z
        .string()
        .min(1)
        .default('tcp://127.0.0.1:5564')
        .describe('Layout worker: where the core hands out its requests (PUSH)'),
      results: z
        .string()
        .min(1)
        .default('tcp://127.0.0.1:5565')
        .describe('Layout worker: where the core takes results (PULL)'),
      events: z
        .string()
        .min(1)
        .default('tcp://127.0.0.1:5555')
        .describe('Where the core publishes: its place in time and space, and in the layout pubsub its requests'),
      images: z
        .string()
        .min(1)
        .default('tcp://127.0.0.1:5558')
        .describe('Where this server publishes: images in the layout pubsub, and Alerts if alerts says so'),
      mirror: z
        .boolean()
        .default(false)
        .describe('Whether images of renders that came over REST appear on the bus too'),
      alerts: z
        .enum(['results', 'publish', 'both', 'off'])
        .default('results')
        .describe('Where to say that a request has failed: where results go, published at images, both, or nowhere'),
      path_map: z
        .record(z.string().min(1), z.string().min(1))
        .default({})
        .describe('Beginnings of paths here, and what the core has in their place on a file system that both share')
        .meta({ examples: [{ '/srv/images': '/mnt/images' }] }),
      outbox: z
        .int()
        .min(1)
        .max(100_000)
        .default(256)
        .describe('Messages kept for a core that is away, 64 MiB at most; then the oldest go'),
      replay_max_age_s: z
        .number()
        .min(0)
        .max(MAX_SECONDS)
        .default(10)
        .describe('Seconds within which the newest image of a place is still sent when an experimance core comes back'),
      output_format: z.enum(['png', 'jpeg', 'webp']).default('jpeg').describe('Format of images for the bus'),
      image_transport: z
        .enum(['file_uri', 'hybrid'])
        .default('file_uri')
        .describe('Images by their path, or (hybrid) with their bytes as well'),
      drop_stale: z
        .boolean()
        .default(false)
        .describe('Whether queued renders of a place that the core has left are given up'),
    })
    .prefault({}),
  generator: z
    .strictObject({
      strategy: z.string().min(1).default('mock').describe('Generator of requests that name none'),
      timeout: seconds.default(120).describe('Seconds that a render may take from its first start'),
      queue_timeout_s: seconds.default(600).describe('Seconds that a render may wait for its first start'),
      fallback: z
        .array(z.string().min(1))
        .default([])
        .describe(
          'Who answers when a generator fails, in this order: generators, or "nearest" for the stored image that is ' +
            'nearest in era, biome and prompt',
        ),
      retries: z
        .int()
        .min(0)
        .max(100)
        .default(3)
        .describe('Further tries of a generator that failed, each after a longer pause'),
      crash_attempts: z
        .int()
        .min(1)
        .default(2)
        .describe('Starts of a render that the process may die in before it fails'),
    })
    .prefault({}),
  queue: z
    .strictObject({
      max_length: z.int().min(1).default(1000).describe('Most renders that may wait'),
    })
    .prefault({}),
  cache: z
    .strictObject({
      share_unseeded: z
        .boolean()
        .default(false)
        .describe('Answer equal requests without a seed with the same images, too'),
      pin_s: z.number().min(0).max(86_400).default(600).describe('Seconds that an image is safe after its last use'),
      max_age_days: z
        .number()
        .positive()
        .max(36_500)
        .optional()
        .meta({ examples: [90] })
        .describe('Days that an image may stay unused; without it, as long as there is room'),
    })
    .prefault({}),
  journal: z
    .strictObject({
      keep_days: z
        .number()
        .positive()
        .max(36_500)
        .default(30)
        .describe('Days that finished renders are remembered; their images go by [cache]'),
    })
    .prefault({}),
  inputs: z
    .strictObject({
      file_roots: z
        .array(z.string().min(1))
        .optional()
        .describe('Folders that bus messages may name images in; default: the temporary directory and cache_dir')
        .meta({ examples: [['/srv/depth-maps', '/srv/tiles']] }),
      max_pixels: z.int().min(1).default(16_800_000).describe('Most pixels of an input image'),
      max_bytes: z.int().min(1).default(20_971_520).describe('Largest input image, in bytes'),
    })
    .prefault({}),
  health: z
    .strictObject({
      file: z
        .string()
        .min(1)
        .optional()
        .describe(
          "File for Experimance's health service, or off; default: where that service looks, with its environment or " +
            '--projects',
        )
        .meta({ examples: ['/var/cache/experimance/health/image_server.json'] }),
      warn_free_mb: z
        .number()
        .min(0)
        .max(1_048_576)
        .default(512)
        .describe('MiB left on the disk of cache_dir or data_dir below which /health is degraded; 0 for never'),
    })
    .prefault({}),
  mock: z
    .strictObject({
      style: z
        .enum(['terrain', 'placeholder', 'existing'])
        .default('terrain')
        .describe('Draw a landscape, or the request as text, or show images of a folder by era and biome'),
      images_dir: z
        .string()
        .min(1)
        .optional()
        .describe('Folder of the images for the style existing; only read')
        .meta({ examples: ['media/images'] }),
      delay_s: z.number().min(0).max(3600).default(0).describe('Seconds that each image takes at least'),
      steps: z.int().min(1).max(1000).default(4).describe('Progress steps of an image when the request names none'),
      concurrency: z.int().min(1).max(64).default(1).describe('Renders at the same time'),
      timeout: seconds
        .optional()
        .describe('Seconds that a render may take; default: that of [generator]')
        .meta({ examples: [60] }),
    })
    .prefault({}),
  local_sdxl: localSdxlSection,
  fal: falSection,
  fal_comfy: falComfySection,
  falai_lightning_i2i: falLightningSection,
  vastai: vastaiSection,
  openai: openaiSection,
  runware: runwareSection,
});

/** The whole configuration, with defaults filled in. */
export type Config = z.output<typeof configSchema>;
