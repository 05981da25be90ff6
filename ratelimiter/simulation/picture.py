"""The picture of a simulation, as SVG: what was offered, what was admitted, and the limit between them."""

from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 420, 64, 16, 48, 44
COLOURS = {"offered": "#b9c4d0", "admitted": "#1b7f5c", "limit": "#c2410c", "capacity": "#6d5bd0"}
WORDS = {"offered": "offered", "admitted": "admitted", "limit": "limit in force", "capacity": "replicas can serve"}
STEPS = (1, 1.5, 2, 3, 4, 6, 8)


def picture(rows: list[dict[str, float]], title: str) -> str:
    """Return an SVG of the series of an outcome; `title` stands above it."""
    highest = max(row[name] for row in rows for name in COLOURS) or 1.0
    top, longest = _round_up(highest), rows[-1]["time"] + (rows[1]["time"] if len(rows) > 1 else 1)
    body = [
        *_grid(top, longest),
        _area(rows, "offered", top, longest),
        *(_line(rows, name, top, longest) for name in ("capacity", "limit", "admitted")),
        *_legend(),
    ]
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    name = f'<text x="{LEFT}" y="20" font-size="14" fill="#1f2933">{escape(title)}</text>'
    return "\n".join([head, ground, name, *body, "</svg>", ""])


def _round_up(value: float) -> float:
    """Return the next round figure: one of STEPS times a power of ten."""
    power = 10.0 ** (len(str(int(value))) - 1)
    return next((step * power for step in STEPS if step * power >= value), 10 * power)


def _x(time: float, longest: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * time / longest, 1)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _grid(top: float, longest: float) -> list[str]:
    out = []
    for number in range(5):
        value, y = top * number / 4, _y(top * number / 4, top)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#e4e9ee"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#52606d">{value:g}/s</text>')
        time = longest * number / 4
        place = f'x="{_x(time, longest)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"'
        out.append(f'<text {place} fill="#52606d">{time:g} s</text>')
    return out


def _points(rows: list[dict[str, float]], name: str, top: float, longest: float) -> list[str]:
    """Return the corners of a staircase."""
    out = []
    for row, end in zip(rows, [*(row["time"] for row in rows[1:]), longest], strict=True):
        y = _y(row[name], top)
        out += [f"{_x(row['time'], longest)},{y}", f"{_x(end, longest)},{y}"]
    return out


def _area(rows: list[dict[str, float]], name: str, top: float, longest: float) -> str:
    floor = _y(0, top)
    corners = [f"{LEFT},{floor}", *_points(rows, name, top, longest), f"{_x(longest, longest)},{floor}"]
    return f'<polygon points="{" ".join(corners)}" fill="{COLOURS[name]}" fill-opacity="0.6"/>'


def _line(rows: list[dict[str, float]], name: str, top: float, longest: float) -> str:
    dash = ' stroke-dasharray="6 4"' if name == "capacity" else ""
    points = " ".join(_points(rows, name, top, longest))
    return f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dash}/>'


def _legend() -> list[str]:
    out = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + number * 170
        out.append(f'<rect x="{x}" y="30" width="14" height="8" fill="{colour}"/>')
        out.append(f'<text x="{x + 20}" y="38" fill="#1f2933">{WORDS[name]}</text>')
    return out
