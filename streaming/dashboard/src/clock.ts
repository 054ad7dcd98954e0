/** The time, for components that show how long something takes. */
import { useEffect, useState } from "preact/hooks";

/** Epoch milliseconds, renewed every `interval` milliseconds while `running`. */
export function useNow(interval: number, running = true): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(() => setNow(Date.now()), interval);
    return () => window.clearInterval(timer);
  }, [interval, running]);
  return running ? Math.max(now, 0) : Date.now();
}
