import '@livekit/components-styles';
import { LogLevel, setLogLevel } from 'livekit-client';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import './page.css';

// What goes wrong is said on the page; a console is for who looks for more.
setLogLevel(LogLevel.warn);

createRoot(document.getElementById('page')!).render(<App />);
