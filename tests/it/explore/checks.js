// Every state that the upload of the page can get into, by any order of steps, crashes, settling, and two falls of servers.
function check() {
  const strange = reader();
  if (strange) return strange;
  const seen = new Set();
  const todo = [{ world: newUpload(3), falls: 0 }];
  while (todo.length) {
    const { world, falls } = todo.pop();
    const key = JSON.stringify([world.up, world.held, world.client, world.committed.length, falls]);
    if (seen.has(key)) continue;
    seen.add(key);
    const why = wrong(world, falls);
    if (why) return `${why}: ${key}`;
    todo.push({ world: takeStep(world), falls }, { world: settle(world), falls });
    if (world.client === "running") todo.push({ world: crashClient(world), falls });
    const isAllUp = world.up.every((up) => up);
    for (const s of range(4)) {
      if (!world.up[s]) todo.push({ world: toggleServer(world, s), falls });
      else if (isAllUp && falls < 2) todo.push({ world: toggleServer(world, s), falls: falls + 1 });
    }
  }
  return seen.size < 1000 ? `only ${seen.size} states` : "as it should be";
}

// With at most one server down at a time, a reader gets a whole version, and an acknowledged one is not lost.
function wrong(world, falls) {
  const got = read(world);
  const published = world.held.map((held) => new Set(held.filter((h) => h.state === "published").map((h) => h.version)));
  if (got.missing.length) return "incomplete";
  if (world.client === "done" && got.version !== 2) return "an acknowledged version is lost";
  if (world.client === "done" && !falls && world.said.includes("warning")) return "a warning without a reason";
  if (!published.some((versions) => versions.has(2)) && got.version !== 1) return "not decided, and shown";
  if (published.some((versions) => versions.size > 1)) return "two versions published on one server";
  return "";
}

// While all servers are up, a download asks each piece's home; so each gives one.
function reader() {
  for (const scheme of ["copies", "parity"]) for (const n of [4, 5, 6]) for (const start of range(n)) {
    const up = range(n).map(() => true);
    const { read } = download(scheme, start, disksOf(holders(scheme, start, up, 2), n), up);
    const isHome = ({ piece, server }) => server === (start + piece - 1) % n;
    if (read.length !== 4 || !read.every(isHome)) return `${scheme} ${n} ${start}: ${JSON.stringify(read)}`;
  }
  return "";
}
