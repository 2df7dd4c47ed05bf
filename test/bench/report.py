"""The table on the terminal, as JSON and in docs/benchmarks.md."""
import json

HEAD = ["what", "ours: median (min-max)", "peer: median (min-max)", "ours / peer", "goal", "reach"]
BEGIN = "<!-- results: written by make bench, do not edit -->"
END = "<!-- end of results -->"


def parts_of(rows):
    return list(dict.fromkeys(row.part for row in rows))


def print_table(rows, out):
    lines = [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in [HEAD, *lines]) for i in range(len(HEAD))]

    def print_line(cells):
        print("  ".join(c.ljust(w) for c, w in zip(cells, widths)).rstrip(), file=out)

    print_line(HEAD)
    for part in parts_of(rows):
        print(f"\n{part}", file=out)
        for row in rows:
            if row.part == part:
                print_line(row.cells())
    for row in rows:
        if row.note:
            print(f"\n{row.what}: {row.note}", file=out)


def as_json(rows, about):
    return json.dumps({**about, "rows": [row.as_json() for row in rows]}, indent=1) + "\n"


def describe_run(about):
    """What the tables are about: the machine and the populations."""
    machine = ", ".join(f"{key} {value}" for key, value in about["machine"].items())
    lines = [f"{machine}.", ""]
    for size in about["populations"]:
        lines.append(f"* {size['characters']:,} characters on {size['servers']} servers, "
                     f"raw_payload {size['raw_payload_bytes']:,} bytes, stats_payload "
                     f"{size['stats_payload_bytes']} bytes as text, a row {size['row_bytes']:,} bytes "
                     "on average")
    return "\n".join(lines).strip()


def sections(rows, about):
    """Title and text of each part's table."""
    for part in parts_of(rows):
        lines = [f"Measured {about['date']}; {about['runs']} runs of each.", "",
                 "| " + " | ".join(HEAD) + " |", "| --- | --- | --- | ---: | --- | --- |"]
        mine = [row for row in rows if row.part == part]
        lines += ["| " + " | ".join(row.cells()) + " |" for row in mine]
        notes = [f"* {row.what}: {row.note}" for row in mine if row.note]
        lines += ["", *notes] if notes else []
        yield part, "\n".join(lines)


def write_docs(path, rows, about):
    """Replaces what stands between the two marks; tables of parts that were not measured stay."""
    doc = path.read_text(encoding="utf-8")
    before, mark, rest = doc.partition(BEGIN)
    results, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path.name} lacks the marks of the results section")
    head, *parts = results.strip().split("\n### ")
    tables = dict(part.split("\n\n", 1) for part in parts)
    tables.update(sections(rows, about))
    if about["populations"] or not head:
        head = describe_run(about)
    text = "\n\n".join([head.strip(), *(f"### {part}\n\n{table.strip()}"
                                        for part, table in tables.items())])
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
