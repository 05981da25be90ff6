"""A replica's curve as a picture (SVG): latency over rate, the target, and what is proposed. Pure."""

from collections.abc import Sequence
from html import escape

from warmup.measurement.load_ramp import Step

WIDTH, HEIGHT, EDGE = 720, 360, 56


def svg(title: str, steps: Sequence[Step], target: float, proposed: float | None) -> str:
    """Return the picture of a curve; `target` is in seconds, `proposed` in requests/s."""
    shown = sorted((step for step in steps if step.latency is not None), key=lambda step: step.offered)
    most = max((step.offered for step in shown), default=1.0)
    highest = max([target * 1.5, *(min(step.latency or 0.0, target * 3) for step in shown)])

    def x(rate: float) -> float:
        return EDGE + rate / most * (WIDTH - 2 * EDGE)

    def y(latency: float) -> float:
        return HEIGHT - EDGE - min(latency, highest) / highest * (HEIGHT - 2 * EDGE)

    line = " ".join(f"{x(step.offered):.1f},{y(step.latency or 0.0):.1f}" for step in shown)
    dots = [_dot(x(step.offered), y(step.latency or 0.0), bool(step.broke)) for step in shown]
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    ends, limit = f'x1="{EDGE}" x2="{WIDTH - EDGE}"', f"{y(target):.1f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{EDGE}" y="24" font-size="15">{escape(title)}</text>',
        _axis(EDGE, HEIGHT - EDGE, WIDTH - EDGE, HEIGHT - EDGE),
        _axis(EDGE, EDGE, EDGE, HEIGHT - EDGE),
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT - 20}" text-anchor="end">requests/s (to {most:.3g})</text>',
        f'<text x="{EDGE}" y="{EDGE - 10}">latency (to {highest * 1000:.3g} ms)</text>',
        f'<line {ends} y1="{limit}" y2="{limit}" stroke="#c0392b" stroke-dasharray="6 4"/>',
        f'<text x="{WIDTH - EDGE}" y="{limit}" dy="-6" text-anchor="end" fill="#c0392b">{target * 1000:g} ms</text>',
        f'<polyline points="{line}" fill="none" stroke="#2471a3" stroke-width="2"/>',
        *dots,
    ]
    if proposed is not None:
        at = f"{x(proposed):.1f}"
        parts.append(f'<line x1="{at}" x2="{at}" y1="{EDGE}" y2="{HEIGHT - EDGE}" stroke="#1e8449" stroke-width="2"/>')
        parts.append(
            f'<text x="{at}" y="{HEIGHT - EDGE + 16}" text-anchor="middle" fill="#1e8449">{proposed:g}/s</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _dot(x: float, y: float, broke: bool) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{"#c0392b" if broke else "#2471a3"}"/>'


def _axis(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#555"/>'
