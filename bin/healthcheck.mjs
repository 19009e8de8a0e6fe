// Ends with 0 when the server in this container can take renders. For HEALTHCHECK, which has no curl to call.
const port = process.env.IMAGE_SERVER__HTTP__PORT ?? '8080';
try {
  const answer = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(4000) });
  process.stdout.write(`${await answer.text()}\n`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  process.stderr.write(`the server does not answer: ${error.cause?.code ?? error.message}\n`);
  process.exitCode = 1;
}
