"""Search methods: one core that projects, counts, reports and stops; three ways to move."""
