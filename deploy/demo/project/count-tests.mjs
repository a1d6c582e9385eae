// A reporter of node:test that writes how many tests passed and failed, as metrics of the job.
// biome-ignore lint/style/noDefaultExport: node:test asks for it.
export default async function* countTests(source) {
  const counts = { tests_passed: 0, tests_failed: 0 };
  for await (const { type } of source) {
    if (type === "test:pass") counts.tests_passed += 1;
    if (type === "test:fail") counts.tests_failed += 1;
  }
  yield JSON.stringify(counts);
}
